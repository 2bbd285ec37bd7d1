//! A message as one line of NDJSON.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use garenne_shared::{Headers, Incoming, MessageType};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Record<'a> {
    message_id: Option<&'a str>,
    r#type: Option<&'a MessageType>,
    exchange: &'a str,
    routing_key: &'a str,
    redelivered: bool,
    headers: &'a Headers,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Appends the line of a message.
///
/// # Errors
///
/// Fails only if the message cannot be written as JSON at all.
pub(crate) fn append(lines: &mut Vec<u8>, message: &Incoming) -> serde_json::Result<()> {
    let body = json(&message.body);
    let record = Record {
        message_id: message.metadata.message_id.as_deref(),
        r#type: message.metadata.message_type.as_ref(),
        exchange: &message.exchange,
        routing_key: &message.routing_key,
        redelivered: message.redelivered,
        headers: &message.metadata.headers,
        body_base64: body.is_none().then(|| BASE64_STANDARD.encode(&message.body)),
        body,
    };
    serde_json::to_writer(&mut *lines, &record)?;
    lines.push(b'\n');
    Ok(())
}

/// The first bytes of every record, by which a torn one is recognised.
pub(crate) const BEGINNING: &[u8] = b"{\"message_id\":";

/// Returns the body as JSON of one line, if it is JSON. Numbers stay as they are written.
fn json(body: &[u8]) -> Option<Cow<'_, RawValue>> {
    let value: &RawValue = serde_json::from_slice(body).ok()?;
    if !value.get().contains(['\n', '\r']) {
        return Some(Cow::Borrowed(value));
    }
    // JSON has no line breaks within a token (RFC 8259 section 7), so these are whitespace.
    let line = value.get().replace(['\n', '\r'], " ");
    RawValue::from_string(line).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use garenne_shared::Metadata;
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn line(metadata: Metadata, body: &[u8]) -> String {
        let message = Incoming {
            exchange: "orders".to_owned(),
            routing_key: "placed.eu".to_owned(),
            redelivered: false,
            metadata,
            body: Bytes::copy_from_slice(body),
        };
        let mut lines = Vec::new();
        append(&mut lines, &message).unwrap();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn a_record_has_all_fields_in_order_and_the_body_as_it_was_published() {
        let mut metadata = Metadata::new();
        metadata.message_id = Some("7".to_owned());
        metadata.message_type = Some(MessageType::from_static("order.placed.v1"));
        metadata.headers.insert("tenant", "t1");
        let expected = concat!(
            r#"{"message_id":"7","type":"order.placed.v1","exchange":"orders","routing_key":"placed.eu","redelivered":false,"#,
            r#""headers":{"tenant":"t1"},"body":{"price": 1.50, "big":123456789012345678901234567890}}"#,
            "\n"
        );
        assert_eq!(line(metadata, br#"{"price": 1.50, "big":123456789012345678901234567890}"#), expected);
    }

    #[test]
    fn what_is_absent_is_null_and_a_record_begins_as_expected() {
        let line = line(Metadata::new(), b"null");
        assert!(line.as_bytes().starts_with(BEGINNING), "{line}");
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&record["message_id"], &record["type"]), (&Value::Null, &Value::Null));
        assert_eq!((record.get("body"), record.get("body_base64")), (Some(&Value::Null), None));
    }

    #[test]
    fn a_body_over_several_lines_becomes_one() {
        let line = line(Metadata::new(), b" {\r\n  \"a\": \"x\\ny\"\n}\n");
        assert!(line.ends_with("\"body\":{    \"a\": \"x\\ny\" }}\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_body_that_is_not_json_is_base64() {
        for (body, encoded) in [(&b""[..], ""), (b"\xff", "/w=="), (b"{\"a\":", "eyJhIjo="), (b"1 2", "MSAy")]
        {
            let record: Value = serde_json::from_str(&line(Metadata::new(), body)).unwrap();
            assert_eq!((record.get("body"), &record["body_base64"]), (None, &Value::from(encoded)));
        }
    }

    proptest! {
        #[test]
        fn any_body_comes_back_from_its_one_line(body in prop::collection::vec(any::<u8>(), 0..40)) {
            let line = line(Metadata::new(), &body);
            prop_assert_eq!(line.find('\n'), Some(line.len() - 1));
            let record: Value = serde_json::from_str(&line).unwrap();
            match record["body_base64"].as_str() {
                Some(encoded) => prop_assert_eq!(BASE64_STANDARD.decode(encoded).unwrap(), body),
                None => prop_assert_eq!(&record["body"], &serde_json::from_slice::<Value>(&body).unwrap()),
            }
        }
    }
}
