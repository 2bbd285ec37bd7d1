//! What a configuration accepts, what it refuses, and what it never shows.

use std::time::Duration;

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
fn the_message_of_a_refused_file_shows_no_password() {
    let error = toml::from_str::<Config>("endpoints = [\"amqp://user:hunter2@host:port\"]").unwrap_err();
    assert!(error.message().contains("is not an AMQP URL"), "{}", error.message());
    assert!(!error.message().contains("hunter2"), "{}", error.message());
    for text in [
        "endpoints = 'amqp://user:hunter2@host:port'",
        "service = 's'\nendpoints = 5 # hunter2",
        "[connection]\nheartbeat = 'hunter2'",
        "[publish]\nwindow = 'hunter2'",
        "tls = 'hunter2'",
        "endpoints = ['hunter2",
        "endpoints = ['amqp://user:hunter2\n@host']",
    ] {
        let error = load(text).unwrap_err();
        assert!(!shown(&error).contains("hunter2"), "{error}");
    }
}

#[test]
fn no_debug_output_shows_a_password() {
    let config = Config::from_url("amqp://user:hunter2@a,amqps://user:hunter2@b").unwrap();
    assert!(!format!("{config:?} {config:#?}").contains("hunter2"));
    assert_eq!(format!("{:?}", config.endpoints[0].password), "***");
}

#[test]
fn a_retry_policy_in_a_file_is_checked() {
    let text = "[connection.reconnect]\ngrowth = 'exponential'\nmin = '2s'\nmax = '1s'\n";
    let error = toml::from_str::<Config>(text).unwrap_err();
    assert!(error.message().contains("raise `max`"), "{error}");
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

fn load(text: &str) -> Result<Config, ConfigError> {
    Config::load("billing.toml", text, [("PATH", "/")])
}

#[test]
fn variables_override_a_file_and_the_rest_stays() {
    let text = "\u{feff}endpoints = 'amqp://a,amqp://b'\r\nservice = 's'\r\n[publish]\r\nwindow = 5\r\n";
    let config =
        Config::load("billing.toml", text, [("GARENNE_SERVICE", "t"), ("GARENNE_WAIT", "60s")]).unwrap();
    assert_eq!((config.service.as_str(), config.publish.window, config.endpoints.len()), ("t", 5, 2));
    assert_eq!(config.connection.wait, Duration::from_secs(60));
}

#[test]
fn an_error_about_a_file_names_its_file_line_and_key() {
    for (text, expected) in [
        (
            "service = 's'\n[publish]\nwindwo = 5",
            "billing.toml, line 3, key `publish.windwo`: unknown field `windwo`",
        ),
        (
            "[publish]\nwindow = 'many'",
            "billing.toml, line 2, key `publish.window`: invalid type: string, expected usize",
        ),
        (
            "[publish]\n\nwindow = 0",
            "billing.toml, line 3, key `publish.window`: it must be at least 1, but is `0`",
        ),
        ("\nendpoints = ['amqp://a', 'b']", "billing.toml, line 2, key `endpoints`: `b` is not an AMQP URL"),
        ("service = 's'\nservice = 't'", "billing.toml, line 2: duplicate key"),
        (
            "[tls]\nca_file = 'x'\ncert_file = 'c'",
            "billing.toml, line 3, key `tls.cert_file`: it must be set together with",
        ),
        ("connection.heartbeat = '5'", "billing.toml, line 1, key `connection.heartbeat`: "),
    ] {
        let error = load(text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn an_error_about_a_value_of_a_variable_names_the_variable() {
    let error = Config::load("billing.toml", "[publish]\nwindow = 5", [("GARENNE_WINDOW", "0")]).unwrap_err();
    assert_eq!(error.to_string(), "variable `GARENNE_WINDOW` must be at least 1, but is `0`");
    let error = vars(&[("GARENNE_HEARTBEAT", "5")]).unwrap_err();
    assert!(
        error.to_string().starts_with("variable `GARENNE_HEARTBEAT` must be a time with its unit"),
        "{error}"
    );
}

const PUBLISH: PublishConfig = PublishConfig::new()
    .window(1)
    .window_bytes(1)
    .confirm_timeout(Duration::from_secs(1))
    .blocked_timeout(Duration::ZERO)
    .max_message_bytes(1);

#[test]
fn every_part_of_a_configuration_can_be_built_in_code() {
    let second = Duration::from_secs(1);
    let connection = ConnectionConfig::new().connect_timeout(second).wait(second).heartbeat(second);
    let connection = connection.frame_max(9000).reconnect(crate::Retry::never()).rpc_timeout(second);
    let tls = TlsConfig::new().ca_file("ca").certificate("cert", "key").server_name("name");
    let config = Config::default().connection(connection).publish(PUBLISH).tls(tls);
    config.validate().unwrap();
    assert_eq!((config.publish.window, config.connection.wait), (1, second));
}

type Spoil = fn(&mut Config);

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    let cases: [(&str, Spoil); 18] = [
        ("endpoints", |config| config.endpoints.clear()),
        ("service", |config| config.service.clear()),
        ("service", |config| config.service = "s".repeat(201)),
        ("connection.heartbeat", |config| config.connection.heartbeat = Duration::ZERO),
        ("connection.heartbeat", |config| config.connection.heartbeat = Duration::from_millis(10)),
        ("connection.heartbeat", |config| config.connection.heartbeat = Duration::from_secs(65_536)),
        ("connection.connect_timeout", |config| config.connection.connect_timeout = Duration::ZERO),
        ("connection.rpc_timeout", |config| config.connection.rpc_timeout = Duration::ZERO),
        ("connection.rpc_timeout", |config| config.connection.rpc_timeout = Duration::MAX),
        ("connection.frame_max", |config| config.connection.frame_max = 4096),
        ("publish.window", |config| config.publish.window = 0),
        ("publish.window_bytes", |config| config.publish.window_bytes = 0),
        ("publish.confirm_timeout", |config| config.publish.confirm_timeout = Duration::ZERO),
        ("publish.blocked_timeout", |config| config.publish.blocked_timeout = Duration::MAX),
        ("publish.max_message_bytes", |config| config.publish.max_message_bytes = 0),
        ("connection.wait", |config| config.connection.wait = Duration::MAX),
        ("tls.cert_file", |config| config.tls.cert_file = Some("cert.pem".into())),
        ("tls.key_file", |config| config.tls.key_file = Some("key.pem".into())),
    ];
    for (setting, spoil) in cases {
        let mut config = Config::default();
        config.validate().unwrap();
        spoil(&mut config);
        refused(&config, setting);
    }
}

#[test]
fn a_refused_setting_says_its_name_the_rule_and_what_was_found() {
    let mut config = Config::default();
    config.connection.frame_max = 4096;
    let error = config.validate().unwrap_err().to_string();
    assert_eq!(error, "setting `connection.frame_max` must be at least 8192 bytes, but is `4096`");
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

#[test]
fn an_unknown_variable_is_told_with_the_known_ones() {
    let error = vars(&[("GARENNE_WINDWO", "1")]).unwrap_err().to_string();
    assert!(error.starts_with("unknown variable `GARENNE_WINDWO`; the known ones are AMQP_URL, "), "{error}");
    assert!(error.ends_with("GARENNE_SERVER_NAME"), "{error}");
}

#[test]
fn variables_that_an_orchestrator_sets_do_not_count() {
    let injected = [
        ("GARENNE_SERVICE_HOST", "10.0.0.7"),
        ("GARENNE_SERVICE_PORT", "5672"),
        ("GARENNE_SERVICE_PORT_AMQP", "5672"),
        ("GARENNE_PORT", "tcp://10.0.0.7:5672"),
        ("GARENNE_PORT_5672_TCP", "tcp://10.0.0.7:5672"),
        ("GARENNE_PORT_5672_TCP_ADDR", "10.0.0.7"),
        ("GARENNE_DB_SERVICE_HOST", "10.0.0.8"),
        ("GARENNE_DB_PORT_5432_TCP_PROTO", "tcp"),
        ("GARENNE_NAME", "/web/garenne"),
        ("GARENNE_ENV_PATH", "/bin"),
    ];
    assert_eq!(vars(&injected), Ok(Config::default()));
    for (name, value) in
        [("GARENNE_SERVICE_NAME", "billing"), ("GARENNE_PORT", "5672"), ("GARENNE_ENVIRONMENT", "test")]
    {
        assert!(vars(&[(name, value)]).is_err(), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_unicode_is_named_if_it_counts_and_skipped_if_not() {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};
    let odd = || OsString::from_vec(b"amqp://hunter2\xff".to_vec());
    let others =
        [(odd(), odd()), (OsString::from("OTHER"), odd()), (OsString::from("GARENNE_PORT_1_TCP"), odd())];
    assert_eq!(Config::from_vars(others), Ok(Config::default()));
    let error = Config::from_vars([(OsString::from("AMQP_URL"), odd())]).unwrap_err();
    assert_eq!(shown(&error), format!("{error} {error}"));
    assert_eq!(error.to_string(), "the value of the variable `AMQP_URL` is not Unicode");
}

fn shown(value: &(impl std::fmt::Display + std::fmt::Debug)) -> String {
    format!("{value} {value:?}")
}
