//! What headers hold, and how they stand in JSON.

use proptest::{collection::vec, prelude::*};

use super::*;

/// Any value but a NaN, which equals nothing.
pub(crate) fn values() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        Just(HeaderValue::Null),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        any::<f64>()
            .prop_filter("a NaN equals nothing", |value| !value.is_nan())
            .prop_map(HeaderValue::Float),
        ".{0,20}".prop_map(HeaderValue::Text),
        vec(any::<u8>(), 0..20).prop_map(|bytes| HeaderValue::Bytes(Bytes::from(bytes))),
        any::<u64>().prop_map(HeaderValue::Timestamp),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let names = prop_oneof!["[$a-z-]{1,12}", "\\$(base64|timestamp|float|table)"];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(HeaderValue::List),
            vec((names, inner), 0..6).prop_map(|pairs| HeaderValue::Table(pairs.into_iter().collect())),
        ]
    })
}

#[test]
fn values_stand_as_themselves_in_json() {
    let mut headers = Headers::new();
    headers.insert("attempts", 3_u32);
    headers.insert("bytes", Bytes::from_static(&[1, 2]));
    headers.insert("list", vec![HeaderValue::Int(1), HeaderValue::Null]);
    headers.insert("tenant", "acme");
    headers.insert("time", HeaderValue::Timestamp(5));
    let json = serde_json::to_string(&headers).unwrap();
    assert_eq!(
        json,
        r#"{"attempts":3,"bytes":{"$base64":"AQI="},"list":[1,null],"tenant":"acme","time":{"$timestamp":5}}"#
    );
    assert_eq!(serde_json::from_str::<Headers>(&json).unwrap(), headers);
}

#[test]
fn what_only_resembles_bytes_or_a_timestamp_stays_a_table() {
    for json in
        [r#"{"$base64":"?"}"#, r#"{"$base64":1}"#, r#"{"$timestamp":-1}"#, r#"{"$timestamp":1,"more":2}"#]
    {
        assert!(matches!(serde_json::from_str(json).unwrap(), HeaderValue::Table(_)), "{json}");
    }
}

#[test]
fn what_json_has_no_number_for_is_tagged() {
    for (value, json) in [
        (HeaderValue::Float(f64::INFINITY), r#"{"$float":"inf"}"#),
        (HeaderValue::Float(f64::NEG_INFINITY), r#"{"$float":"-inf"}"#),
        (HeaderValue::Timestamp(u64::MAX), r#"{"$timestamp":"18446744073709551615"}"#),
    ] {
        assert_eq!(serde_json::to_string(&value).unwrap(), json);
        assert_eq!(serde_json::from_str::<HeaderValue>(json).unwrap(), value);
    }
    let json = serde_json::to_string(&HeaderValue::Float(f64::NAN)).unwrap();
    assert_eq!(json, r#"{"$float":"NaN"}"#);
    let value = serde_json::from_str(&json).unwrap();
    assert!(matches!(value, HeaderValue::Float(value) if value.is_nan()), "{value:?}");
}

#[test]
fn a_table_that_looks_like_something_else_is_marked_as_a_table() {
    let inner: Headers = [("$base64", "AQI=")].into_iter().collect();
    let outer: Headers = [("$table", inner)].into_iter().collect();
    let value = HeaderValue::Table(outer);
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(json, r#"{"$table":{"$table":{"$table":{"$base64":"AQI="}}}}"#);
    assert_eq!(serde_json::from_str::<HeaderValue>(&json).unwrap(), value);
}

#[test]
fn an_integer_that_amqp_has_no_type_for_is_refused() {
    assert!(serde_json::from_str::<HeaderValue>("18446744073709551615").is_err());
}

#[test]
fn a_header_is_read_by_its_type() {
    let headers: Headers =
        [("n", HeaderValue::Int(1)), ("t", HeaderValue::Text("x".into()))].into_iter().collect();
    assert_eq!((headers.int("n"), headers.text("n")), (Some(1), None));
    assert_eq!((headers.int("t"), headers.text("t")), (None, Some("x")));
    assert_eq!((headers.get("absent"), headers.len()), (None, 2));
}

proptest! {
    #[test]
    fn a_value_survives_json_and_message_pack(value in values()) {
        let json = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&serde_json::from_str::<HeaderValue>(&json).unwrap(), &value);
        let packed = rmp_serde::to_vec(&value).unwrap();
        prop_assert_eq!(rmp_serde::from_slice::<HeaderValue>(&packed).unwrap(), value);
    }
}
