//! A configuration from environment variables that the caller has read.

use std::{collections::BTreeMap, ffi::OsString, time::Duration};

use serde::de::{
    DeserializeOwned, IntoDeserializer,
    value::{Error, StrDeserializer},
};

use super::{Config, ConfigError};

const PREFIX: &str = "GARENNE_";

type Set = fn(&mut Config, &Variable<'_>) -> Result<(), ConfigError>;

/// The variables that are known, with the settings that they set.
const KNOWN: [(&str, &str, Set); 12] = [
    ("AMQP_URL", "endpoints", |config, var| {
        config.endpoints = Config::from_url(var.value)?.endpoints;
        Ok(())
    }),
    ("GARENNE_SERVICE", "service", |config, var| var.text(&mut config.service)),
    ("GARENNE_HEARTBEAT", "connection.heartbeat", |config, var| var.time(&mut config.connection.heartbeat)),
    ("GARENNE_CONNECT_TIMEOUT", "connection.connect_timeout", |config, var| {
        var.time(&mut config.connection.connect_timeout)
    }),
    ("GARENNE_WAIT", "connection.wait", |config, var| var.time(&mut config.connection.wait)),
    ("GARENNE_WINDOW", "publish.window", |config, var| {
        config.publish.window = var.value.parse().map_err(|_| var.refuse("a whole number"))?;
        Ok(())
    }),
    ("GARENNE_CONFIRM_TIMEOUT", "publish.confirm_timeout", |config, var| {
        var.time(&mut config.publish.confirm_timeout)
    }),
    ("GARENNE_BLOCKED_TIMEOUT", "publish.blocked_timeout", |config, var| {
        var.time(&mut config.publish.blocked_timeout)
    }),
    ("GARENNE_CA_FILE", "tls.ca_file", |config, var| var.option(&mut config.tls.ca_file)),
    ("GARENNE_CERT_FILE", "tls.cert_file", |config, var| var.option(&mut config.tls.cert_file)),
    ("GARENNE_KEY_FILE", "tls.key_file", |config, var| var.option(&mut config.tls.key_file)),
    ("GARENNE_SERVER_NAME", "tls.server_name", |config, var| var.option(&mut config.tls.server_name)),
];

/// A variable that is known.
struct Variable<'a> {
    name: &'a str,
    value: &'a str,
}

/// Which variable set which setting.
#[derive(Debug, Default)]
pub(super) struct Origins(BTreeMap<&'static str, &'static str>);

/// Sets what the variables name, and returns which variable set what.
///
/// The variables of other programs are not looked at: they need not even be Unicode.
pub(super) fn set<N, V>(
    config: &mut Config,
    variables: impl IntoIterator<Item = (N, V)>,
) -> Result<Origins, ConfigError>
where
    N: Into<OsString>,
    V: Into<OsString>,
{
    let mut origins = Origins::default();
    for (name, value) in variables {
        // A name that is not Unicode is none of ours.
        let Ok(name) = name.into().into_string() else { continue };
        let Some((name, setting, set)) = KNOWN.into_iter().find(|(known, ..)| *known == name) else {
            if name.starts_with(PREFIX) && !is_injected(&name, &value.into().to_string_lossy()) {
                let known = KNOWN.map(|(known, ..)| known).join(", ");
                return Err(ConfigError::UnknownVariable { name, known });
            }
            continue;
        };
        let value =
            value.into().into_string().map_err(|_| ConfigError::NotUnicode { name: name.to_owned() })?;
        set(config, &Variable { name, value: &value })?;
        origins.0.insert(setting, name);
    }
    Ok(origins)
}

/// Tells whether an orchestrator sets such a variable for a neighbour whose name begins with `garenne`.
///
/// Kubernetes does for every service of the namespace, Docker for links: `GARENNE_SERVICE_HOST`, `GARENNE_SERVICE_PORT`,
/// `GARENNE_SERVICE_PORT_AMQP`, `GARENNE_PORT`, `GARENNE_PORT_5672_TCP_ADDR`, `GARENNE_DB_SERVICE_HOST`, `GARENNE_NAME`,
/// `GARENNE_ENV_PATH`.
fn is_injected(name: &str, value: &str) -> bool {
    let words = &name[PREFIX.len() - 1..];
    let numbered =
        words.split_once("_PORT_").is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()));
    words.ends_with("_SERVICE_HOST")
        || words.ends_with("_SERVICE_PORT")
        || words.contains("_SERVICE_PORT_")
        || words.ends_with("_PORT") && value.contains("://")
        || numbered
        || words == "_NAME"
        || words.contains("_ENV_")
}

// === impl Variable ===

impl Variable<'_> {
    /// Reads a time as configuration files write it, such as `10s` or `500ms`.
    fn time(&self, setting: &mut Duration) -> Result<(), ConfigError> {
        *setting = parse::<humantime_serde::Serde<Duration>>(self.value)
            .map(humantime_serde::Serde::into_inner)
            .map_err(|_| self.refuse("a time with its unit, such as `10s`"))?;
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the signature of its siblings")]
    fn text(&self, setting: &mut String) -> Result<(), ConfigError> {
        self.value.clone_into(setting);
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the signature of its siblings")]
    fn option<T: for<'a> From<&'a str>>(&self, setting: &mut Option<T>) -> Result<(), ConfigError> {
        *setting = Some(self.value.into());
        Ok(())
    }

    fn refuse(&self, rule: &str) -> ConfigError {
        let Self { name, value } = self;
        ConfigError::Setting {
            setting: (*name).to_owned(),
            rule: rule.to_owned(),
            found: (*value).to_owned(),
        }
    }
}

// === impl Origins ===

impl Origins {
    /// Returns the variable that set a setting.
    pub(super) fn of(&self, setting: &str) -> Option<&'static str> {
        self.0.get(setting).copied()
    }
}

fn parse<T: DeserializeOwned>(value: &str) -> Result<T, Error> {
    let deserializer: StrDeserializer<'_, Error> = value.into_deserializer();
    T::deserialize(deserializer)
}
