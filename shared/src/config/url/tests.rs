//! What a URL says, what is refused, and what it never shows.

use proptest::prelude::*;

use crate::{Config, ConfigError, config::Address};

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
fn an_error_about_a_character_in_a_password_says_what_to_escape_and_shows_nothing() {
    for password in [
        "12,hunter2",
        "12,hunter2:x",
        "hunter2,x",
        "hun,hunter2/?#",
        "12#hunter2",
        "hunter2#x",
        "hunter2?",
        "hun/hunter2",
        "hunter2/",
        "hunter2\n",
    ] {
        for url in [format!("amqp://user:{password}@host"), format!("amqp://user:{password}@host:5672/vhost")]
        {
            let error = Config::from_url(&url).unwrap_err();
            assert!(!shown(&error).contains("hunter2"), "{error}");
            assert!(
                password.contains('\n') || error.to_string().contains("`#` as %23, `,` as %2C"),
                "{error}"
            );
        }
    }
}

#[test]
fn a_vhost_is_taken_verbatim() {
    for (path, vhost) in [
        ("..", ".."),
        ("%2e%2e", ".."),
        (".", "."),
        ("a%2fb", "a/b"),
        ("%2F", "/"),
        ("a@b", "a@b"),
        ("%00", "\0"),
    ] {
        assert_eq!(format!("amqp://host/{path}").parse::<Address>().unwrap().vhost, vhost);
    }
}

#[test]
fn hosts_and_ports_are_read_as_they_are_written() {
    for (place, host, port) in [
        ("[::1]", "::1", 5672),
        ("[::1]:7", "::1", 7),
        ("[fe80::1%25eth0]:7", "fe80::1%eth0", 7),
        ("10.0.0.1:7", "10.0.0.1", 7),
        ("h%6fst:", "host", 5672),
        ("b\u{fc}ro", "b\u{fc}ro", 5672),
    ] {
        let address: Address = format!("AMQP://{place}/").parse().unwrap();
        assert_eq!((address.host.as_str(), address.port), (host, port));
    }
    for place in
        ["::1", "[::1", "[::1]x", "[host]", "host:0", "host:65536", "host:+1", "ho st", "ho%00st", "h:1:2"]
    {
        assert!(format!("amqp://{place}").parse::<Address>().is_err(), "{place}");
    }
}

#[test]
fn white_space_and_a_byte_order_mark_around_a_url_do_not_count() {
    let config = Config::from_url("\u{feff}amqp://a:1 ,\tamqp://b:2\r\n").unwrap();
    assert_eq!(config.endpoints.iter().map(|address| address.port).collect::<Vec<_>>(), [1, 2]);
}

fn shown(value: &(impl std::fmt::Display + std::fmt::Debug)) -> String {
    format!("{value} {value:?}")
}

proptest! {
    #[test]
    fn what_is_percent_encoded_in_a_url_comes_out_as_it_was(user in "[^\0]{1,20}", password in "[^\0]{0,20}", vhost in ".{1,20}") {
        let encode = |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
        let url = format!("amqp://{}:{}@host/{}", encode(&user), encode(&password), encode(&vhost));
        let address: Address = url.parse().unwrap();
        prop_assert_eq!((address.user.as_str(), address.password.expose(), address.vhost.as_str()), (&*user, &*password, &*vhost));
    }

    #[test]
    fn what_needs_no_escape_is_taken_verbatim(password in "[a-zA-Z0-9:!$&'()*+;=._~\"<>{}|^` -]{0,20}", vhost in "[a-zA-Z0-9:@!$&'()*+;=._~-]{1,20}") {
        let address: Address = format!("amqp://user:{password}@host/{vhost}").parse().unwrap();
        prop_assert_eq!((address.password.expose(), address.vhost.as_str()), (&*password, &*vhost));
    }

    #[test]
    fn no_text_is_too_odd_to_be_parsed_or_refused(text in ".{0,60}", tail in "[ -~]{0,30}") {
        let _ = text.parse::<Address>();
        let _ = format!("amqp://{tail}").parse::<Address>();
    }

    #[test]
    fn no_password_is_ever_shown(password in "[a-zA-Z0-9]{8,20}", tail in "[ -~]{0,12}|[:/@?#,]{0,6}") {
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
