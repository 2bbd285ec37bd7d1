//! How long the content header of a message is on the wire, without encoding it.

use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

/// Frame type, channel, length and end mark around the payload (AMQP 0-9-1 section 4.2.3).
const FRAME: usize = 1 + 2 + 4 + 1;

/// Class, weight, body size and property flags (AMQP 0-9-1 section 4.2.6.1).
const FIXED: usize = 2 + 2 + 8 + 2;

/// Returns the length of the content header frame, to compare with the connection's `frame_max`.
///
/// The header must fit one frame; a longer one costs the whole connection.
pub(crate) fn header_frame_len(properties: &BasicProperties) -> usize {
    let texts = [
        properties.content_type(),
        properties.content_encoding(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.message_id(),
        properties.kind(),
        properties.user_id(),
        properties.app_id(),
        properties.cluster_id(),
    ];
    FRAME
        + FIXED
        + texts.into_iter().flatten().map(short).sum::<usize>()
        + properties.headers().as_ref().map_or(0, table)
        + properties.delivery_mode().map_or(0, |_| 1)
        + properties.priority().map_or(0, |_| 1)
        + properties.timestamp().map_or(0, |_| 8)
}

fn short(text: &ShortString) -> usize {
    1 + text.as_str().len()
}

fn table(table: &FieldTable) -> usize {
    4 + table.into_iter().map(|(name, field)| short(name) + value(field)).sum::<usize>()
}

fn value(field: &AMQPValue) -> usize {
    1 + match field {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => short(text),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.len(),
        AMQPValue::FieldArray(values) => 4 + values.as_slice().iter().map(value).sum::<usize>(),
        AMQPValue::FieldTable(inner) => table(inner),
    }
}
