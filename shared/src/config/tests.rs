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
fn a_url_that_is_cut_in_two_by_its_password_is_refused_without_showing_it() {
    for password in ["12,hunter2", "12,hunter2:x", "hunter2,x", "hun,hunter2/?#"] {
        let error = Config::from_url(&format!("amqp://user:{password}@host")).unwrap_err();
        assert!(!shown(&error).contains("hunter2"), "{error}");
    }
}

#[test]
fn the_message_of_a_refused_file_shows_no_password() {
    let error = toml::from_str::<Config>("endpoints = [\"amqp://user:hunter2@host:port\"]").unwrap_err();
    assert!(error.message().contains("is not an AMQP URL"), "{}", error.message());
    assert!(!error.message().contains("hunter2"), "{}", error.message());
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

type Spoil = fn(&mut Config);

#[test]
fn values_that_cannot_work_are_refused_by_name() {
    let cases: [(&str, Spoil); 16] = [
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
        ("tls.cert_file", |config| config.tls.cert_file = Some("cert.pem".into())),
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

fn shown(value: &(impl std::fmt::Display + std::fmt::Debug)) -> String {
    format!("{value} {value:?}")
}

proptest! {
    #[test]
    fn what_is_percent_encoded_in_a_url_comes_out_as_it_was(user in ".{1,20}", password in ".{1,20}", vhost in ".{1,20}") {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let url = format!("amqp://{}:{}@host/{}", encode(&user), encode(&password), encode(&vhost));
        // Dots are path segments of their own in any URL: `.` and `..` cannot be vhosts.
        prop_assume!(!matches!(vhost.as_str(), "." | ".."));
        let address: Address = url.parse().unwrap();
        prop_assert_eq!((address.user.as_str(), address.password.expose(), address.vhost.as_str()), (&*user, &*password, &*vhost));
    }

    #[test]
    fn no_text_is_too_odd_to_be_parsed_or_refused(text in ".{0,60}", tail in "[ -~]{0,30}") {
        let _ = text.parse::<Address>();
        let _ = format!("amqp://{tail}").parse::<Address>();
    }

    #[test]
    fn no_password_is_ever_shown(password in "[a-zA-Z0-9]{8,20}", tail in "[ -~]{0,12}") {
        // Also when the URL is malformed.
        let text = format!("amqp://user:{password}@host{tail}");
        match text.parse::<Address>() {
            Ok(address) => prop_assert!(!shown(&address).contains(&password)),
            Err(error) => prop_assert!(!shown(&error).contains(&password)),
        }
        for other in [
            format!("{tail}user:{password}@host"),
            format!("amqp://user:{password}"),
            format!("user:{password}{tail}"),
            format!("amqp://host?password={password}{tail}"),
            format!("amqp://user:x@host/vhost#{password}"),
            format!("{password}:x@host"),
        ] {
            if let Err(error) = other.parse::<Address>() {
                prop_assert!(!shown(&error).contains(&password), "{other}");
            }
        }
    }
}
