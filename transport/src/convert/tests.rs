//! What goes out comes back the same, and nothing a peer sends can hurt.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame};
use bytes::Bytes;
use garenne_shared::{HeaderValue, Headers};
use lapin::types::{AMQPValue, FieldTable, LongString};
use proptest::{collection::vec, option, prelude::*};

use super::*;

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

fn encoded_len(properties: BasicProperties) -> usize {
    let header = AMQPContentHeader { class_id: 60, body_size: 5, properties };
    let frame = AMQPFrame::Header(1, header);
    let mut buffer = vec![0_u8; 1 << 16];
    let cursor = std::io::Cursor::new(buffer.as_mut_slice());
    let context = gen_frame(&frame)(WriteContext::from(cursor)).expect("the frame fits");
    usize::try_from(context.into_inner().1).expect("a length")
}

proptest! {
    #[test]
    fn metadata_survives_the_wire_types(wanted in metadatas()) {
        prop_assume!(wanted.message_id.as_ref().is_none_or(|id| id.len() <= MAX_SHORT_STRING_LENGTH));
        prop_assert_eq!(metadata(&properties(&wanted)?), wanted);
    }

    #[test]
    fn the_length_of_the_header_frame_is_what_the_encoder_writes(given in metadatas()) {
        let properties = properties(&given)?;
        prop_assert_eq!(header_frame_len(&properties), encoded_len(properties));
    }

    #[test]
    fn long_texts_are_refused_and_never_a_panic(text in ".{0,400}") {
        let mut given = Metadata::new();
        given.message_id = Some(text.clone());
        given.headers.insert(text.clone(), 1);
        prop_assert_eq!(properties(&given).is_ok(), text.len() <= MAX_SHORT_STRING_LENGTH);
    }
}

#[test]
fn an_expiration_that_closes_the_channel_is_refused() {
    let mut given = Metadata::new();
    given.expiration = Some(Duration::from_millis(u64::from(u32::MAX)));
    assert!(properties(&given).is_ok());
    given.expiration = Some(Duration::from_millis(u64::from(u32::MAX) + 1));
    assert_eq!(properties(&given), Err(ConvertError::TooLate { found: 1 << 32 }));
}

#[test]
fn what_makes_no_sense_is_left_out() {
    let given = BasicProperties::default()
        .with_type("".into())
        .with_expiration("soon".into())
        .with_timestamp(u64::MAX)
        .with_message_id("kept".into());
    let found = metadata(&given);
    assert_eq!((found.message_type, found.expiration, found.timestamp), (None, None, None));
    assert_eq!(found.message_id.as_deref(), Some("kept"));
    assert_eq!(found.delivery_mode, DeliveryMode::Transient, "absent means transient");
}

#[test]
fn a_type_that_is_no_name_is_escaped_and_not_taken_for_none() {
    for (given, found) in
        [("a\nb".to_owned(), "a\\nb".to_owned()), ("\u{1}".repeat(255), "\\u{1}".repeat(51))]
    {
        let given = BasicProperties::default().with_type(given.as_str().into());
        assert_eq!(metadata(&given).message_type.as_ref().map(MessageType::as_str), Some(found.as_str()));
    }
}

#[test]
fn text_that_is_not_utf8_stays_bytes() {
    let mut given = FieldTable::default();
    given.insert("raw".into(), AMQPValue::LongString(LongString::from(vec![0xff, 0xfe])));
    assert_eq!(headers(&given).get("raw"), Some(&HeaderValue::Bytes(Bytes::from_static(&[0xff, 0xfe]))));
}

#[test]
fn nesting_has_an_end_in_both_directions() {
    let mut value = HeaderValue::Int(1);
    let mut wire = AMQPValue::LongInt(1);
    for _ in 0..1000 {
        value = HeaderValue::List(vec![value]);
        wire = AMQPValue::FieldArray(vec![wire].into());
    }
    let given: Headers = [("deep", value)].into_iter().collect();
    assert!(matches!(table(&given), Err(ConvertError::TooDeep { .. })));
    let mut given = FieldTable::default();
    given.insert("deep".into(), wire);
    assert_eq!(headers(&given).len(), 1);
}
