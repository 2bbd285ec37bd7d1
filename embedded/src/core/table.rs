//! Reading field tables: arguments and headers.

use amq_protocol::types::{AMQPValue, FieldTable};

/// Returns a whole number of any width; `None` if the value is none.
pub(crate) fn integer(value: &AMQPValue) -> Option<i64> {
    match *value {
        AMQPValue::ShortShortInt(n) => Some(n.into()),
        AMQPValue::ShortShortUInt(n) => Some(n.into()),
        AMQPValue::ShortInt(n) => Some(n.into()),
        AMQPValue::ShortUInt(n) => Some(n.into()),
        AMQPValue::LongInt(n) => Some(n.into()),
        AMQPValue::LongUInt(n) => Some(n.into()),
        AMQPValue::LongLongInt(n) => Some(n),
        _ => None,
    }
}

/// Returns a string of either kind, if it is UTF-8.
pub(crate) fn string(value: &AMQPValue) -> Option<&str> {
    match value {
        AMQPValue::LongString(s) => std::str::from_utf8(s.as_bytes()).ok(),
        AMQPValue::ShortString(s) => Some(s.as_str()),
        _ => None,
    }
}

/// Returns the bytes of a string of either kind.
pub(crate) fn bytes(value: &AMQPValue) -> Option<&[u8]> {
    match value {
        AMQPValue::LongString(s) => Some(s.as_bytes()),
        AMQPValue::ShortString(s) => Some(s.as_str().as_bytes()),
        _ => None,
    }
}

/// Looks up a whole number.
pub(crate) fn get_integer(table: &FieldTable, key: &str) -> Option<i64> {
    table.inner().get(key).and_then(integer)
}

/// Looks up a string.
pub(crate) fn get_string<'t>(table: &'t FieldTable, key: &str) -> Option<&'t str> {
    table.inner().get(key).and_then(string)
}

/// Compares two values as RabbitMQ does: numbers of any width by their value, everything else by type and value.
pub(crate) fn is_equal(a: &AMQPValue, b: &AMQPValue) -> bool {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => match (string(a), string(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
        _ => false,
    }
}
