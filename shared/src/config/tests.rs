//! What a configuration accepts, what it refuses, and what it never shows.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn vars(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_vars(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())))
}

#[track_caller]
fn refused(config: &Config, setting: &str) {
    match config.validate() {
        Err(ConfigError::Setting { setting: found, .. }) => assert_eq!(found, setting),
        other => panic!("`{setting}` must be refused, but: {other:?}"),
    }
}

#[test]
fn a_url_gives_every_part_of_the_address() {
    let address: Address = "amqps://us%65r:p%40ss@[2001:db8::1]:5679/my%2Fhost".parse().unwrap();
    assert!(address.tls);
    assert_eq!((address.host.as_str(), address.port), ("2001:db8::1", 5679));
    assert_eq!((address.user.as_str(), address.password.expose()), ("user", "p@ss"));
    assert_eq!(address.vhost, "my/host");
    assert_eq!(address.authority(), "[2001:db8::1]:5679");
}

#[test]
fn what_a_url_leaves_out_has_a_default() {
    let address: Address = "amqp://broker".parse().unwrap();
    assert_eq!((address.port, address.vhost.as_str(), address.user.as_str()), (5672, "/", "guest"));
    assert_eq!("amqps://broker/".parse::<Address>().unwrap().port, 5671);
    assert_eq!("amqp://broker/%2f".parse::<Address>().unwrap().vhost, "/");
}

#[test]
fn what_is_not_an_amqp_url_is_refused() {
    for text in [
        "",
        "broker",
        "http://broker",
        "amqp://",
        "amqp://broker/a/b",
        "amqp://broker?heartbeat=5",
        "amqp://b:x",
    ] {
        assert!(matches!(text.parse::<Address>(), Err(ConfigError::Url { .. })), "{text}");
    }
}

#[test]
fn several_urls_are_separated_by_commas() {
    let config = Config::from_url("amqp://a, amqp://b:5673").unwrap();
    assert_eq!(config.endpoints.len(), 2);
    assert_eq!(config.endpoints[1].port, 5673);
}

#[test]
fn unknown_keys_are_refused_by_name() {
    let error = toml::from_str::<Config>("[publish]\nwindwo = 5\n").unwrap_err();
    assert!(error.to_string().contains("windwo"), "{error}");
}

#[test]
fn a_file_sets_what_it_names_and_leaves_the_rest() {
    let text = "endpoints = [\"amqp://a\"]\nservice = \"billing\"\n[connection]\nheartbeat = \"5s\"\n";
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!(config.connection.heartbeat, Duration::from_secs(5));
    assert_eq!(config.connection.rpc_timeout, Duration::from_secs(10));
    config.validate().unwrap();
}

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    let mut config = Config { endpoints: Vec::new(), ..Config::default() };
    refused(&config, "endpoints");
    config = Config::default().service("");
    refused(&config, "service");
    config = Config::default();
    config.connection.heartbeat = Duration::from_millis(10);
    refused(&config, "connection.heartbeat");
    config = Config::default();
    config.connection.frame_max = 4096;
    refused(&config, "connection.frame_max");
    config = Config::default();
    config.publish.window = 0;
    refused(&config, "publish.window");
    config = Config::default();
    config.publish.confirm_timeout = Duration::ZERO;
    refused(&config, "publish.confirm_timeout");
    Config::default().validate().unwrap();
}

#[test]
fn variables_set_their_settings() {
    let config = vars(&[
        ("AMQP_URL", "amqp://a"),
        ("GARENNE_SERVICE", "s"),
        ("GARENNE_HEARTBEAT", "5s"),
        ("PATH", "/"),
    ]);
    let config = config.unwrap();
    assert_eq!((config.service.as_str(), config.connection.heartbeat), ("s", Duration::from_secs(5)));
    assert_eq!(config.endpoints[0].host, "a");
}

#[test]
fn unknown_and_unfit_variables_are_refused() {
    for pairs in [
        [("GARENNE_WINDWO", "1")],
        [("GARENNE_WINDOW", "many")],
        [("GARENNE_HEARTBEAT", "5")],
        [("GARENNE_WINDOW", "0")],
    ] {
        assert!(vars(&pairs).is_err(), "{pairs:?}");
    }
}

fn shown(value: &(impl std::fmt::Display + std::fmt::Debug)) -> String {
    format!("{value} {value:?}")
}

proptest! {
    #[test]
    fn no_password_is_ever_shown(password in "[a-zA-Z0-9]{8,20}", tail in "[ -~]{0,12}") {
        // Also when the URL is malformed.
        let text = format!("amqp://user:{password}@host{tail}");
        match text.parse::<Address>() {
            Ok(address) => prop_assert!(!shown(&address).contains(&password)),
            Err(error) => prop_assert!(!shown(&error).contains(&password)),
        }
        for other in [format!("{tail}user:{password}@host"), format!("amqp://user:{password}"), format!("user:{password}{tail}")] {
            if let Err(error) = other.parse::<Address>() {
                prop_assert!(!shown(&error).contains(&password), "{other}");
            }
        }
    }
}
