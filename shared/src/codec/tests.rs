//! Which codec is taken, and what becomes of bodies that do not fit.

use std::{collections::BTreeMap, error::Error as _};

use proptest::{collection::vec, prelude::*};
use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    region: String,
    note: Option<String>,
}

fn order() -> Order {
    Order { id: 1, region: "eu".into(), note: None }
}

/// Writes JSON backwards, through the erased interface that every custom codec uses.
#[derive(Debug)]
struct Backwards(&'static str);

impl Codec for Backwards {
    fn content_type(&self) -> &'static str {
        self.0
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Bytes, BoxError> {
        let mut body = serde_json::to_vec(value)?;
        body.reverse();
        Ok(body.into())
    }

    fn decode(
        &self,
        body: &[u8],
        visit: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), BoxError> {
        let body: Vec<u8> = body.iter().rev().copied().collect();
        let mut deserializer = serde_json::Deserializer::from_slice(&body);
        Ok(visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut deserializer))?)
    }
}

/// Forgets to hand over the body.
#[derive(Debug)]
struct Idle;

impl Codec for Idle {
    fn content_type(&self) -> &'static str {
        "application/idle"
    }

    fn encode(&self, _: &dyn erased_serde::Serialize) -> Result<Bytes, BoxError> {
        Err("it encodes nothing".into())
    }

    fn decode(
        &self,
        _: &[u8],
        _: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), BoxError> {
        Ok(())
    }
}

#[track_caller]
fn refused(codecs: &Codecs, content_type: Option<&str>, body: &[u8]) -> CodecErrorKind {
    codecs.decode::<Order>(content_type, body).unwrap_err().kind()
}

#[test]
fn json_is_written_unless_another_format_is_chosen() {
    let (body, content_type) = Codecs::default().encode(&order()).unwrap();
    assert_eq!(
        (&body[..], content_type),
        (&br#"{"id":1,"region":"eu","note":null}"#[..], "application/json")
    );
    let (body, content_type) = Codecs::message_pack().encode(&order()).unwrap();
    assert_eq!(content_type, "application/msgpack");
    assert_eq!(Codecs::json().decode::<Order>(Some(content_type), &body).unwrap(), order());
}

#[test]
fn a_content_type_is_recognised_in_any_case_and_with_parameters() {
    let body = br#"{"id":1,"region":"eu","note":null}"#;
    for content_type in [None, Some("application/json; charset=utf-8"), Some("Application/JSON")] {
        assert_eq!(Codecs::default().decode::<Order>(content_type, body).unwrap(), order());
    }
    for content_type in ["", "text/plain", "application/jsonl"] {
        assert_eq!(refused(&Codecs::default(), Some(content_type), body), CodecErrorKind::UnknownContentType);
    }
}

#[test]
fn an_unknown_content_type_is_an_error_with_its_name() {
    let error = Codecs::default().decode::<Order>(Some("application/cbor"), b"").unwrap_err();
    assert_eq!(
        (error.kind(), error.content_type()),
        (CodecErrorKind::UnknownContentType, "application/cbor")
    );
    assert!(error.to_string().contains("`application/cbor`"), "{error}");
}

#[test]
fn a_body_must_be_the_message_and_nothing_more() {
    let codecs = Codecs::message_pack();
    let (mut packed, _) = codecs.encode(&order()).map(|(body, kind)| (body.to_vec(), kind)).unwrap();
    packed.push(0xc0);
    assert_eq!(refused(&codecs, Some("application/msgpack"), &packed), CodecErrorKind::Decode);
    assert_eq!(refused(&codecs, Some("application/msgpack"), &packed[..3]), CodecErrorKind::Decode);
    assert_eq!(refused(&codecs, None, br#"{"id":1,"region":"eu","note":null} x"#), CodecErrorKind::Decode);
    assert_eq!(refused(&codecs, None, b""), CodecErrorKind::Decode);
}

#[test]
fn a_codec_of_ones_own_encodes_and_decodes() {
    let codecs = Codecs::default().encoding_with(Backwards("application/backwards"));
    let (body, content_type) = codecs.encode(&order()).unwrap();
    assert!(body.starts_with(b"}llun"), "{body:?}");
    assert_eq!(codecs.decode::<Order>(Some(content_type), &body).unwrap(), order());
    assert_eq!(refused(&codecs, Some(content_type), b"}"), CodecErrorKind::Decode);
    // What it does not stand for is still decoded by the built-in ones.
    assert_eq!(codecs.decode::<u8>(None, b"7").unwrap(), 7);
}

#[test]
fn a_codec_of_ones_own_comes_before_a_built_in_one() {
    let codecs = Codecs::json().with(Backwards("application/json"));
    assert_eq!(codecs.decode::<u8>(None, b"21").unwrap(), 12);
}

#[test]
fn a_codec_decodes_its_other_names_too() {
    #[derive(Debug)]
    struct Vendor;

    impl Codec for Vendor {
        fn content_type(&self) -> &'static str {
            "application/vnd.acme+json"
        }

        fn aliases(&self) -> &'static [&'static str] {
            &["application/acme"]
        }

        fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Bytes, BoxError> {
            Json.encode(value)
        }

        fn decode(
            &self,
            body: &[u8],
            visit: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
        ) -> Result<(), BoxError> {
            Json.decode(body, visit)
        }
    }

    let codecs = Codecs::json().with(Vendor);
    for content_type in ["application/vnd.acme+json", "application/ACME"] {
        assert_eq!(codecs.decode::<u8>(Some(content_type), b"7").unwrap(), 7);
    }
    assert_eq!(codecs.encode(&7).unwrap().1, "application/json", "`with` is for decoding");
    for content_type in ["application/vnd.msgpack", "application/x-msgpack", "application/messagepack"] {
        assert_eq!(codecs.decode::<u8>(Some(content_type), b"\x07").unwrap(), 7);
    }
}

#[test]
fn a_built_in_codec_does_the_same_as_a_codec_of_ones_own() {
    // Given as their own, they are called through the trait.
    for (own, built_in) in [
        (Codecs::json().encoding_with(Json), Codecs::json()),
        (Codecs::json().encoding_with(MessagePack), Codecs::message_pack()),
    ] {
        let (body, content_type) = own.encode(&order()).unwrap();
        assert_eq!((body.clone(), content_type), built_in.encode(&order()).unwrap());
        assert_eq!(own.decode::<Order>(Some(content_type), &body).unwrap(), order());
        let longer = [&body[..], &body[..1]].concat();
        assert_eq!(refused(&own, Some(content_type), &longer), CodecErrorKind::Decode);
        assert_eq!(refused(&built_in, Some(content_type), &longer), CodecErrorKind::Decode);
    }
}

#[test]
fn what_cannot_be_encoded_is_an_error_with_its_cause() {
    let keyed = BTreeMap::from([((1, 2), 3)]);
    let error = Codecs::json().encode(&keyed).unwrap_err();
    assert_eq!(error.kind(), CodecErrorKind::Encode);
    assert!(error.source().is_some());
    let idle = Codecs::json().encoding_with(Idle);
    assert_eq!(idle.encode(&1).unwrap_err().kind(), CodecErrorKind::Encode);
    assert_eq!(refused(&idle, Some("application/idle"), b""), CodecErrorKind::Decode);
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_the_same(id: u64, region in ".{0,40}", note in proptest::option::of(".{0,40}")) {
        let order = Order { id, region, note };
        for codecs in [Codecs::json(), Codecs::message_pack(), Codecs::json().encoding_with(Backwards("a/b"))] {
            let (body, content_type) = codecs.encode(&order).unwrap();
            prop_assert_eq!(codecs.decode::<Order>(Some(content_type), &body).unwrap(), order.clone());
        }
    }

    #[test]
    fn no_body_is_a_panic(body in vec(any::<u8>(), 0..200)) {
        for content_type in ["application/json", "application/msgpack"] {
            let _ = Codecs::default().decode::<Order>(Some(content_type), &body);
            let _ = Codecs::default().decode::<crate::HeaderValue>(Some(content_type), &body);
        }
    }
}
