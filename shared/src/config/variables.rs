//! A configuration from environment variables that the caller has read.

use std::time::Duration;

use serde::de::{
    DeserializeOwned, IntoDeserializer,
    value::{Error, StrDeserializer},
};

use super::{Config, ConfigError};

const PREFIX: &str = "GARENNE_";

pub(super) fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    for (name, value) in variables {
        set(&mut config, &name, value)?;
    }
    config.validate()?;
    Ok(config)
}

fn set(config: &mut Config, name: &str, value: String) -> Result<(), ConfigError> {
    let Config { connection, publish, tls, .. } = config;
    match name {
        "AMQP_URL" => config.endpoints = Config::from_url(&value)?.endpoints,
        "GARENNE_SERVICE" => config.service = value,
        "GARENNE_HEARTBEAT" => connection.heartbeat = time(name, &value)?,
        "GARENNE_CONNECT_TIMEOUT" => connection.connect_timeout = time(name, &value)?,
        "GARENNE_CONFIRM_TIMEOUT" => publish.confirm_timeout = time(name, &value)?,
        "GARENNE_BLOCKED_TIMEOUT" => publish.blocked_timeout = time(name, &value)?,
        "GARENNE_WINDOW" => {
            publish.window = value.parse().map_err(|_| refuse(name, "a whole number", &value))?;
        }
        "GARENNE_CA_FILE" => tls.ca_file = Some(value.into()),
        "GARENNE_CERT_FILE" => tls.cert_file = Some(value.into()),
        "GARENNE_KEY_FILE" => tls.key_file = Some(value.into()),
        "GARENNE_SERVER_NAME" => tls.server_name = Some(value),
        unknown if unknown.starts_with(PREFIX) => {
            return Err(refuse(unknown, "one of the documented variables", "not known"));
        }
        _ => {}
    }
    Ok(())
}

/// Reads a time as configuration files write it, such as `10s` or `500ms`.
fn time(name: &str, value: &str) -> Result<Duration, ConfigError> {
    parse::<humantime_serde::Serde<Duration>>(value)
        .map(humantime_serde::Serde::into_inner)
        .map_err(|_| refuse(name, "a time with its unit, such as `10s`", value))
}

fn parse<T: DeserializeOwned>(value: &str) -> Result<T, Error> {
    let deserializer: StrDeserializer<'_, Error> = value.into_deserializer();
    T::deserialize(deserializer)
}

fn refuse(setting: &str, rule: &str, found: &str) -> ConfigError {
    ConfigError::Setting { setting: setting.to_owned(), rule: rule.to_owned(), found: found.to_owned() }
}
