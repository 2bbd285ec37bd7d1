//! Whatever a message holds survives being stored; what is stored is read strictly.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::{HeaderValue, headers::tests::values};

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![vec(any::<u8>(), 0..30).prop_map(Bytes::from), ".{0,20}".prop_map(Bytes::from)]
}

fn text() -> impl Strategy<Value = Option<String>> {
    option::of(".{0,20}")
}

/// Any moment of the system, those before the epoch among them.
fn moments() -> impl Strategy<Value = SystemTime> {
    (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        second.and_then(|second| second.checked_add(Duration::from_nanos(nanos.into()))).unwrap_or(UNIX_EPOCH)
    })
}

fn lifetimes() -> impl Strategy<Value = Duration> {
    (any::<u64>(), 0..1_000_000_u64)
        .prop_map(|(millis, nanos)| Duration::from_millis(millis) + Duration::from_nanos(nanos))
}

fn originals() -> impl Strategy<Value = Original> {
    (bytes(), bytes(), bytes())
        .prop_map(|(exchange, key, properties)| Original::new(exchange, key, properties))
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let texts = (text(), text(), text(), text(), text(), text(), text());
    let message_type = option::of("[a-z.é]{1,20}".prop_map(|name| MessageType::try_from(name).unwrap()));
    let mode = prop_oneof![Just(DeliveryMode::Persistent), Just(DeliveryMode::Transient)];
    let headers = vec((".{0,12}", values()), 0..5).prop_map(|pairs| pairs.into_iter().collect::<Headers>());
    let others =
        (message_type, option::of(moments()), option::of(lifetimes()), any::<Option<u8>>(), mode, headers);
    (texts, others, option::of(originals())).prop_map(|(texts, others, original)| {
        let (message_id, content_type, content_encoding, correlation_id, reply_to, app_id, user_id) = texts;
        let (message_type, timestamp, expiration, priority, delivery_mode, headers) = others;
        Metadata {
            message_id,
            message_type,
            content_type,
            content_encoding,
            correlation_id,
            reply_to,
            app_id,
            user_id,
            timestamp,
            expiration,
            priority,
            delivery_mode,
            headers,
            original,
        }
    })
}

fn messages() -> impl Strategy<Value = Outgoing> {
    let key = "[a-z.é#*]{0,20}".prop_map(|key| RoutingKey::try_from(key).unwrap());
    let exchange = "[a-z.é]{0,20}".prop_map(|name| ExchangeName::try_from(name).unwrap());
    (exchange, key, metadata(), bytes(), any::<bool>()).prop_map(
        |(exchange, routing_key, metadata, body, mandatory)| Outgoing {
            exchange,
            routing_key,
            metadata,
            body,
            mandatory,
        },
    )
}

#[track_caller]
fn refused(json: &str, expected: &str) {
    let error = serde_json::from_str::<Outgoing>(json).unwrap_err().to_string();
    assert!(error.starts_with(expected), "{error}");
}

#[track_caller]
fn metadata_refused(json: &str, expected: &str) {
    refused(&format!(r#"{{"exchange":"","routing_key":"","body":"","metadata":{json}}}"#), expected);
}

proptest! {
    #[test]
    fn any_message_survives_json_and_message_pack(message in messages()) {
        let json = serde_json::to_string(&message).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Outgoing>(&json).unwrap(), &message);
        let tree = serde_json::to_value(&message).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Outgoing>(tree).unwrap(), &message);
        for packed in [rmp_serde::to_vec(&message).unwrap(), rmp_serde::to_vec_named(&message).unwrap()] {
            prop_assert_eq!(&rmp_serde::from_slice::<Outgoing>(&packed).unwrap(), &message);
        }
    }

    #[test]
    fn no_text_and_no_bytes_are_a_panic(text in ".{0,40}", bytes in vec(any::<u8>(), 0..60)) {
        let _ = serde_json::from_str::<Outgoing>(&text);
        let _ = rmp_serde::from_slice::<Outgoing>(&bytes);
    }
}

#[test]
fn a_message_stands_as_a_map_of_what_is_not_default() {
    let mut message = Outgoing::new("orders", "order.placed.eu", r#"{"id":7}"#);
    assert_eq!(
        serde_json::to_string(&message).unwrap(),
        r#"{"exchange":"orders","routing_key":"order.placed.eu","body":"{\"id\":7}"}"#
    );
    message.mandatory = false;
    message.body = Bytes::from_static(&[0xff]);
    let metadata = &mut message.metadata;
    metadata.message_id = Some("7".into());
    metadata.message_type = Some("order.placed.v1".into());
    metadata.timestamp = Some(UNIX_EPOCH + Duration::new(1_735_689_600, 5));
    metadata.expiration = Some(Duration::from_micros(1_500));
    metadata.delivery_mode = DeliveryMode::Transient;
    metadata.headers.insert("at", HeaderValue::Timestamp(5));
    metadata.original = Some(Original::new("orders".into(), Bytes::from_static(&[0xff]), Bytes::new()));
    let expected = concat!(
        r#"{"exchange":"orders","routing_key":"order.placed.eu","mandatory":false,"metadata":{"message_id":"7","#,
        r#""message_type":"order.placed.v1","timestamp_s":1735689600,"timestamp_ns":5,"expiration_ms":1,"#,
        r#""expiration_ns":500000,"delivery_mode":"transient","headers":{"at":{"$timestamp":5}},"#,
        r#""original":{"exchange":"orders","routing_key":{"$base64":"/w=="},"properties":""}},"body":{"$base64":"/w=="}}"#
    );
    assert_eq!(serde_json::to_string(&message).unwrap(), expected);
}

#[test]
fn what_is_missing_takes_its_default_and_what_is_null_is_not_set() {
    let json = r#"{"exchange":"orders","routing_key":"k","body":"b"}"#;
    assert_eq!(serde_json::from_str::<Outgoing>(json).unwrap(), Outgoing::new("orders", "k", "b"));
    let json = r#"{"message_id":null,"timestamp_s":null,"original":null}"#;
    assert_eq!(serde_json::from_str::<Metadata>(json).unwrap(), Metadata::new());
}

#[test]
fn what_has_no_default_must_be_there() {
    refused("{}", "missing field `exchange`");
    refused(r#"{"exchange":"orders"}"#, "missing field `routing_key`");
    refused(r#"{"exchange":"orders","routing_key":"k"}"#, "missing field `body`");
}

#[test]
fn an_unknown_field_is_an_error_that_names_the_known_ones() {
    refused(
        r#"{"exchnage":""}"#,
        "unknown field `exchnage`, expected one of `exchange`, `routing_key`, `mandatory`, `metadata`, `body`",
    );
    metadata_refused(r#"{"expiration":"60s"}"#, "unknown field `expiration`, expected one of `message_id`");
    metadata_refused(r#"{"original":{"key":""}}"#, "unknown field `key`, expected one of `exchange`");
}

#[test]
fn a_value_that_makes_no_sense_is_an_error_that_says_so() {
    let body = |body: &str| format!(r#"{{"exchange":"","routing_key":"","body":{body}}}"#);
    refused(&body("7"), r#"invalid type: integer `7`, expected text or `{"$base64": ".."}`"#);
    refused(&body(r#"{"id":7}"#), r#"invalid type: map, expected text or `{"$base64": ".."}`"#);
    refused(&body(r#"{"$base64":"?"}"#), "`$base64` is not Base64: ");
    refused(r#"{"exchange":"a\nb"}"#, "an exchange name must not contain control characters");
    metadata_refused(
        r#"{"delivery_mode":"lazy"}"#,
        "unknown variant `lazy`, expected `persistent` or `transient`",
    );
    metadata_refused(
        r#"{"timestamp_s":1,"timestamp_ns":1000000000}"#,
        "`timestamp_ns` is the part below one second, at most 999999999, but is 1000000000",
    );
    metadata_refused(
        r#"{"expiration_ms":1,"expiration_ns":1000000}"#,
        "`expiration_ns` is the part below one millisecond, at most 999999, but is 1000000",
    );
    metadata_refused(
        r#"{"expiration_ns":1}"#,
        "`expiration_ns` stands beside `expiration_ms`, which is missing",
    );
    metadata_refused(r#"{"timestamp_ns":1}"#, "`timestamp_ns` stands beside `timestamp_s`, which is missing");
}

#[test]
fn an_expiration_that_has_no_number_is_refused_and_not_cut() {
    let mut metadata = Metadata::new();
    metadata.expiration = Some(Duration::MAX);
    let error = serde_json::to_string(&metadata).unwrap_err().to_string();
    assert!(error.starts_with("an expiration is at most 2^64 - 1 milliseconds"), "{error}");
}
