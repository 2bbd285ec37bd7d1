//! Properties as tests and the management API read them: with text where peers may have written any bytes.

use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, ShortString};

use super::field::{Field, Table};
use super::properties::{Properties, Property};
use super::text::shown;

/// What is nested deeper is told as bytes: values of the codec are read and dropped by recursion.
const MAX_DEPTH: usize = 100;

impl Properties {
    /// Returns the properties with every short string as text: what is not UTF-8 is written as `\xff`, and cut at 255 bytes.
    pub(crate) fn readable(&self) -> AMQPProperties {
        let mut readable = AMQPProperties::default();
        macro_rules! texts {
            ($($property:ident => $with:ident),+ $(,)?) => {
                $(if let Some(bytes) = self.raw(Property::$property) {
                    readable = readable.$with(short(bytes));
                })+
            };
        }
        texts! {
            ContentType => with_content_type,
            ContentEncoding => with_content_encoding,
            CorrelationId => with_correlation_id,
            ReplyTo => with_reply_to,
            Expiration => with_expiration,
            MessageId => with_message_id,
            Type => with_type,
            UserId => with_user_id,
            AppId => with_app_id,
            ClusterId => with_cluster_id,
        }
        if let Some(headers) = self.raw(Property::Headers) {
            readable = readable.with_headers(table(Table::new(headers), 0));
        }
        if let Some(mode) = self.octet(Property::DeliveryMode) {
            readable = readable.with_delivery_mode(mode);
        }
        if let Some(priority) = self.octet(Property::Priority) {
            readable = readable.with_priority(priority);
        }
        if let Some(timestamp) = self.timestamp() {
            readable = readable.with_timestamp(timestamp);
        }
        readable
    }
}

fn short(bytes: &[u8]) -> ShortString {
    let mut text = shown(bytes).into_owned();
    text.truncate(text.floor_char_boundary(u8::MAX.into()));
    ShortString::try_new(text).unwrap_or_default()
}

fn table(entries: Table<'_>, depth: usize) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, field) in entries {
        table.insert(short(key), value(field, depth));
    }
    table
}

fn value(field: Field<'_>, depth: usize) -> AMQPValue {
    let bytes = || ByteArray::from(field.bytes);
    if depth == MAX_DEPTH && matches!(field.kind, b'F' | b'A') {
        return AMQPValue::ByteArray(bytes());
    }
    let number = field.integer().unwrap_or_default();
    // Each conversion fits: the number was read from as many bytes.
    match field.kind {
        b't' => AMQPValue::Boolean(field.bytes != [0]),
        b'b' => AMQPValue::ShortShortInt(number.try_into().unwrap_or_default()),
        b'B' => AMQPValue::ShortShortUInt(number.try_into().unwrap_or_default()),
        b's' => AMQPValue::ShortInt(number.try_into().unwrap_or_default()),
        b'u' => AMQPValue::ShortUInt(number.try_into().unwrap_or_default()),
        b'I' => AMQPValue::LongInt(number.try_into().unwrap_or_default()),
        b'i' => AMQPValue::LongUInt(number.try_into().unwrap_or_default()),
        b'l' | b'L' => AMQPValue::LongLongInt(number),
        #[expect(clippy::cast_possible_truncation, reason = "it was read from 32 bits")]
        b'f' => AMQPValue::Float(field.float().unwrap_or_default() as f32),
        b'd' => AMQPValue::Double(field.float().unwrap_or_default()),
        b'T' => AMQPValue::Timestamp(field.timestamp().unwrap_or_default()),
        b'D' => match *field.bytes {
            [scale, a, b, c, d] => {
                AMQPValue::DecimalValue(DecimalValue { scale, value: u32::from_be_bytes([a, b, c, d]) })
            }
            _ => AMQPValue::Void,
        },
        b'S' => AMQPValue::LongString(field.bytes.into()),
        b'x' => AMQPValue::ByteArray(bytes()),
        b'F' => AMQPValue::FieldTable(table(Table::new(field.bytes), depth + 1)),
        b'A' => {
            let values = field.array().into_iter().flatten().map(|field| value(field, depth + 1));
            AMQPValue::FieldArray(FieldArray::from(values.collect::<Vec<_>>()))
        }
        _ => AMQPValue::Void,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_readable() {
        let properties = Properties::new(b"\x24\0\0\0\0\x09\x01\xffS\0\0\0\x02\xfeb\x03a\xe9b", true);
        let readable = properties.readable();
        assert_eq!(readable.correlation_id().as_ref().map(ShortString::as_str), Some("a\\xe9b"));
        let headers = readable.headers().clone().unwrap_or_default();
        let found = headers.inner().get("\\xff");
        assert_eq!(found, Some(&AMQPValue::LongString(b"\xfeb".as_slice().into())));
    }

    #[test]
    fn text_and_numbers_come_back_as_they_were_written() {
        let mut headers = FieldTable::default();
        for (key, value) in [
            ("a", AMQPValue::ShortInt(-2)),
            ("b", AMQPValue::DecimalValue(DecimalValue { scale: 1, value: 7 })),
            (
                "c",
                AMQPValue::FieldArray(FieldArray::from(vec![
                    AMQPValue::Boolean(true),
                    AMQPValue::Float(1.5),
                ])),
            ),
            ("d", AMQPValue::LongUInt(u32::MAX)),
        ] {
            headers.insert(key.into(), value);
        }
        let written = AMQPProperties::default()
            .with_headers(headers)
            .with_priority(3)
            .with_timestamp(9)
            .with_type("é".into())
            .with_cluster_id("c".into());
        assert_eq!(Properties::from(&written).readable(), written);
    }
}
