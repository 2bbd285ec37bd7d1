//! What goes out comes back the same, what a peer sends cannot hurt, and what nobody changed goes out as it came.

use std::time::Duration;

use amq_protocol::protocol::basic::AMQPProperties as BasicProperties;
use amq_protocol::{
    frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame},
    types::{AMQPValue, DecimalValue, FieldTable, LongString, MAX_SHORT_STRING_LENGTH},
};
use bytes::Bytes;
use garenne_shared::{DeliveryMode, HeaderValue, Headers, MessageType, Metadata, Original};
use proptest::{collection::vec, option, prelude::*};

use super::{
    Stamp,
    decode::{metadata, moment},
    header_int,
};
use crate::convert::ConvertError;

/// Returns the properties that carry the metadata.
fn encode(metadata: &Metadata) -> Result<Vec<u8>, ConvertError> {
    let mut out = Vec::new();
    super::encode(&mut out, metadata, Stamp::default())?;
    Ok(out)
}

fn header_values() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        Just(HeaderValue::Null),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        (-1e9..1e9).prop_map(HeaderValue::Float),
        ".{0,40}".prop_map(HeaderValue::Text),
        vec(any::<u8>(), 0..40).prop_map(|bytes| HeaderValue::Bytes(Bytes::from(bytes))),
        any::<u64>().prop_map(HeaderValue::Timestamp),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(HeaderValue::List),
            vec(("[a-z-]{1,12}", inner), 0..6)
                .prop_map(|pairs| HeaderValue::Table(pairs.into_iter().collect())),
        ]
    })
}

fn metadatas() -> impl Strategy<Value = Metadata> {
    let texts = vec(option::of(".{0,60}"), 7);
    let headers = vec(("[a-z-]{1,12}", header_values()), 0..6);
    let numbers =
        (option::of(0_u64..1 << 40), option::of(any::<u32>()), option::of(any::<u8>()), any::<bool>());
    (texts, headers, numbers, option::of("[a-z.]{1,60}")).prop_map(|(texts, headers, numbers, kind)| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten();
        let mut metadata = Metadata::new();
        metadata.message_id = text();
        metadata.content_type = text();
        metadata.content_encoding = text();
        metadata.correlation_id = text();
        metadata.reply_to = text();
        metadata.app_id = text();
        metadata.user_id = text();
        metadata.message_type = kind.map(|kind| MessageType::try_from(kind).expect("a valid type"));
        metadata.timestamp = numbers.0.and_then(moment);
        metadata.expiration = numbers.1.map(|millis| Duration::from_millis(millis.into()));
        metadata.priority = numbers.2;
        metadata.delivery_mode = if numbers.3 { DeliveryMode::Persistent } else { DeliveryMode::Transient };
        metadata.headers = headers.into_iter().collect();
        metadata
    })
}

/// Frame head, class, weight and body size in front of the properties, and the end mark behind them.
const AROUND: (usize, usize) = (7 + 12, 1);

/// Encodes properties as lapin does.
fn foreign(properties: BasicProperties) -> Bytes {
    let header = AMQPContentHeader { class_id: 60, body_size: 5, properties };
    let frame = gen_frame(&AMQPFrame::Header(1, header))(WriteContext::from(Vec::new()));
    let frame = frame.expect("the frame fits").write;
    Bytes::copy_from_slice(&frame[AROUND.0..frame.len() - AROUND.1])
}

/// Reads properties and keeps their bytes, as a delivery does.
fn delivered(properties: &Bytes) -> Metadata {
    let mut delivered = metadata(properties);
    delivered.original = Some(Original::new(Bytes::new(), Bytes::new(), properties.clone()));
    delivered
}

/// The bytes of properties that have nothing but headers and a delivery mode.
fn with_headers(table: &[u8]) -> Bytes {
    let mut properties = vec![0x30, 0];
    properties.extend_from_slice(&u32::try_from(table.len()).unwrap().to_be_bytes());
    properties.extend_from_slice(table);
    properties.push(1);
    properties.into()
}

proptest! {
    #[test]
    fn metadata_survives_the_wire(wanted in metadatas()) {
        prop_assume!(wanted.message_id.as_ref().is_none_or(|id| id.len() <= MAX_SHORT_STRING_LENGTH));
        let encoded = encode(&wanted)?;
        prop_assert_eq!(metadata(&encoded), wanted);
        // A strict reader takes it too.
        let mut frame = vec![2, 0, 1];
        frame.extend_from_slice(&u32::try_from(12 + encoded.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        frame.extend_from_slice(&encoded);
        frame.push(0xCE);
        prop_assert!(parse_frame(frame.as_slice()).is_ok());
    }

    #[test]
    fn what_nobody_changed_goes_out_as_it_came(
        texts in vec(option::of(vec(any::<u8>(), 0..60)), 10), table in vec((vec(any::<u8>(), 1..9), any::<[u8; 4]>()), 0..5),
        mode in 1_u8..3, seconds in any::<u64>()
    ) {
        // The second and third text stand around the headers; an expiration is a number for RabbitMQ.
        let bits = [15, 14, 10, 9, 7, 5, 4, 3, 2];
        let (mut flags, mut early, mut late) = (0x3040_u16, Vec::new(), Vec::new());
        let mut stamped = Vec::new();
        for (bit, text) in bits.into_iter().zip(&texts) {
            let Some(text) = text else { continue };
            // An empty type is as good as none, and is not sent again.
            if bit == 5 && text.is_empty() { continue }
            flags |= 1 << bit;
            let to = if bit >= 14 { &mut early } else if bit >= 7 { &mut stamped } else { &mut late };
            to.push(u8::try_from(text.len()).unwrap());
            to.extend_from_slice(text);
        }
        let table: std::collections::BTreeMap<_, _> = table.into_iter().map(|(name, value)| (garenne_shared::escape(&name), (name, value))).collect();
        let mut entries = Vec::new();
        for (name, value) in table.values() {
            entries.push(u8::try_from(name.len()).unwrap());
            entries.extend_from_slice(name);
            entries.push(b'I');
            entries.extend_from_slice(value);
        }
        let mut properties = flags.to_be_bytes().to_vec();
        if table.is_empty() { properties[0] &= !0x20; }
        properties.extend_from_slice(&early);
        if !table.is_empty() {
            properties.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
            properties.extend_from_slice(&entries);
        }
        properties.push(mode);
        properties.extend_from_slice(&stamped);
        properties.extend_from_slice(&seconds.to_be_bytes());
        properties.extend_from_slice(&late);
        let properties = Bytes::from(properties);
        let metadata = delivered(&properties);
        prop_assert_eq!(&Bytes::from(encode(&metadata)?), &properties);
        // It does so as well after it was stored.
        let stored = serde_json::to_string(&metadata).unwrap();
        let metadata: Metadata = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(Bytes::from(encode(&metadata)?), properties);
    }

    #[test]
    fn no_bytes_hurt_the_reader(bytes in vec(any::<u8>(), 0..120)) {
        let bytes = Bytes::from(bytes);
        let _ = encode(&delivered(&bytes));
        let _ = header_int(&bytes, "x");
        let _ = encode(&delivered(&with_headers(&bytes)));
    }

    #[test]
    fn long_texts_are_refused_and_never_a_panic(text in ".{0,400}") {
        let mut given = Metadata::new();
        given.message_id = Some(text.clone());
        given.headers.insert(text.clone(), 1);
        prop_assert_eq!(encode(&given).is_ok(), text.len() <= MAX_SHORT_STRING_LENGTH);
    }
}

#[test]
fn a_change_goes_out_and_the_rest_stays_as_it_came() {
    let mut properties = vec![0x74, 0x80];
    properties.extend_from_slice(b"\x02\xff\xfe");
    properties.extend_from_slice(b"\0\0\0\x0d\x01aD\x01\xff\xff\xff\xf1\x02\xffnt\x01\x01");
    // Content encoding, headers, delivery mode, correlation id, message id.
    properties.extend_from_slice(b"\x03c\xffd\x01m");
    let properties = Bytes::from(properties);
    let mut changed = delivered(&properties);
    assert_eq!(changed.headers.get("a"), Some(&HeaderValue::Float(-1.5)), "decimals are signed");
    changed.message_id = Some("other".to_owned());
    changed.headers.insert("b", true);
    let found = encode(&changed).unwrap();
    let again = metadata(&found);
    assert_eq!(again.message_id.as_deref(), Some("other"));
    assert_eq!(again.headers.len(), 3);
    let unchanged: [&[u8]; 4] =
        [b"\x02\xff\xfe", b"\x01aD\x01\xff\xff\xff\xf1", b"\x02\xffnt\x01", b"\x03c\xffd"];
    for part in unchanged.into_iter().chain([&b"\x01bt\x01"[..]]) {
        assert!(found.windows(part.len()).any(|window| window == part), "{part:x?} is not in {found:x?}");
    }
}

#[test]
fn an_expiration_that_closes_the_channel_is_refused() {
    let mut given = Metadata::new();
    given.expiration = Some(Duration::from_millis(u64::from(u32::MAX)));
    assert!(encode(&given).is_ok());
    given.expiration = Some(Duration::from_millis(u64::from(u32::MAX) + 1));
    assert_eq!(encode(&given), Err(ConvertError::TooLate { found: 1 << 32 }));
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let given = BasicProperties::default()
        .with_type("".into())
        .with_expiration("soon".into())
        .with_timestamp(u64::MAX)
        .with_message_id("kept".into());
    let found = metadata(&foreign(given));
    assert_eq!((found.message_type, found.expiration, found.timestamp), (None, None, None));
    assert_eq!(found.message_id.as_deref(), Some("kept"));
    assert_eq!(found.delivery_mode, DeliveryMode::Transient, "absent means transient");
}

#[test]
fn a_type_that_is_no_name_is_escaped_and_not_taken_for_none() {
    for (given, found) in
        [("a\nb".to_owned(), "a\\nb".to_owned()), ("\u{1}".repeat(255), "\\u{1}".repeat(51))]
    {
        let given = foreign(BasicProperties::default().with_type(given.as_str().into()));
        assert_eq!(metadata(&given).message_type.as_ref().map(MessageType::as_str), Some(found.as_str()));
    }
}

#[test]
fn names_that_look_alike_are_all_kept_and_go_out_as_they_came() {
    // A name twice, one that is not UTF-8, and one that looks as that is shown.
    let mut table = Vec::new();
    for (name, value) in [(&b"a"[..], 1_u8), (b"a", 2), (b"caf\xe9", 3), (b"caf\\xe9", 4)] {
        table.push(u8::try_from(name.len()).unwrap());
        table.extend_from_slice(name);
        table.extend_from_slice(&[b'B', value]);
    }
    let properties = with_headers(&table);
    let mut found = delivered(&properties);
    let values: Vec<_> = found.headers.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(values, [1, 2, 3, 4].map(HeaderValue::Int));
    // Also where something else was changed.
    found.app_id = Some("other".to_owned());
    let sent = encode(&found).unwrap();
    assert!(sent.windows(table.len()).any(|bytes| bytes == table), "{sent:?}");
}

#[test]
fn a_decimal_keeps_its_digits_at_every_scale() {
    for (scale, value, shown) in [(255, 314_i32, 3.14e-253), (0, -7, -7.0), (1, -15, -1.5)] {
        let mut table = vec![1, b'd', b'D', scale];
        table.extend_from_slice(&value.to_be_bytes());
        let found = delivered(&with_headers(&table));
        assert_eq!(found.headers.get("d"), Some(&HeaderValue::Float(shown)));
    }
}

#[test]
fn every_type_of_field_is_read() {
    let mut given = FieldTable::default();
    let values = [
        ("bool", AMQPValue::Boolean(true), HeaderValue::Bool(true)),
        ("i8", AMQPValue::ShortShortInt(-1), HeaderValue::Int(-1)),
        ("u8", AMQPValue::ShortShortUInt(255), HeaderValue::Int(255)),
        ("i16", AMQPValue::ShortInt(-1), HeaderValue::Int(-1)),
        ("u16", AMQPValue::ShortUInt(65_535), HeaderValue::Int(65_535)),
        ("i32", AMQPValue::LongInt(-1), HeaderValue::Int(-1)),
        ("u32", AMQPValue::LongUInt(u32::MAX), HeaderValue::Int(u32::MAX.into())),
        ("i64", AMQPValue::LongLongInt(i64::MIN), HeaderValue::Int(i64::MIN)),
        ("f32", AMQPValue::Float(0.5), HeaderValue::Float(0.5)),
        ("f64", AMQPValue::Double(0.1), HeaderValue::Float(0.1)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 275 }), HeaderValue::Float(2.75)),
        ("text", AMQPValue::LongString("t".into()), HeaderValue::Text("t".into())),
        (
            "raw",
            AMQPValue::LongString(LongString::from(vec![0xff])),
            HeaderValue::Bytes(Bytes::from_static(&[0xff])),
        ),
        ("time", AMQPValue::Timestamp(7), HeaderValue::Timestamp(7)),
        ("null", AMQPValue::Void, HeaderValue::Null),
        (
            "list",
            AMQPValue::FieldArray(vec![AMQPValue::Void].into()),
            HeaderValue::List(vec![HeaderValue::Null]),
        ),
        ("table", AMQPValue::FieldTable(FieldTable::default()), HeaderValue::Table(Headers::new())),
    ];
    for (name, value, _) in &values {
        given.insert((*name).into(), value.clone());
    }
    let properties = foreign(BasicProperties::default().with_headers(given));
    let found = metadata(&properties).headers;
    for (name, _, wanted) in values {
        assert_eq!(found.get(name), Some(&wanted), "{name}");
    }
    assert_eq!(header_int(&properties, "i64"), Some(i64::MIN));
}

#[test]
fn what_nests_too_deep_is_kept_as_bytes_and_sent_as_it_came() {
    let mut value = HeaderValue::Int(1);
    let mut wire = AMQPValue::LongInt(1);
    for _ in 0..100 {
        value = HeaderValue::List(vec![value]);
        wire = AMQPValue::FieldArray(vec![wire].into());
    }
    let mut given = Metadata::new();
    given.headers.insert("deep", value);
    assert!(matches!(encode(&given), Err(ConvertError::TooDeep { .. })));
    let mut given = FieldTable::default();
    given.insert("deep".into(), wire);
    let properties = foreign(BasicProperties::default().with_headers(given).with_delivery_mode(1));
    let found = delivered(&properties);
    let mut depth = 0;
    let mut innermost = found.headers.get("deep");
    while let Some(HeaderValue::List(list)) = innermost {
        innermost = list.first();
        depth += 1;
    }
    assert!(matches!(innermost, Some(HeaderValue::Bytes(_))), "{depth} lists deep: {innermost:?}");
    assert_eq!(encode(&found).unwrap(), properties);
}

#[test]
fn a_malformed_header_costs_what_follows_it_only() {
    let properties = with_headers(b"\x01aI\0\0\0\x01\x01b?\x01cI\0\0\0\x02");
    let found = metadata(&properties);
    assert_eq!((found.headers.int("a"), found.headers.get("c")), (Some(1), None));
    assert_eq!(found.delivery_mode, DeliveryMode::Transient);
}

#[test]
fn a_stamp_counts_where_the_metadata_says_nothing() {
    let stamp = Stamp { content_type: Some("application/json"), app_id: Some("shop") };
    let encoded = |given: &Metadata| {
        let mut out = b"before".to_vec();
        super::encode(&mut out, given, stamp).unwrap();
        metadata(out.strip_prefix(b"before").unwrap())
    };
    let mut given = Metadata::new();
    let found = encoded(&given);
    assert_eq!(found.content_type.as_deref(), Some("application/json"));
    assert_eq!(found.app_id.as_deref(), Some("shop"));
    given.content_type = Some("text/plain".to_owned());
    given.app_id = Some("other".to_owned());
    assert_eq!(encoded(&given), given);
}
