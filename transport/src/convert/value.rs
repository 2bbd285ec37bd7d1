//! Headers as an AMQP field table and back.

use bytes::Bytes;
use garenne_shared::{HeaderValue, Headers};
use lapin::types::{AMQPValue, FieldTable, LongString};

use super::{ConvertError, bounded};

/// How deep lists and tables may nest: far beyond what people write, and far below what could exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Returns the field table that carries the headers.
pub(crate) fn table(headers: &Headers) -> Result<FieldTable, ConvertError> {
    table_within(headers, MAX_DEPTH)
}

/// Returns the headers that a field table carries. What nests too deep becomes `Null`.
pub(crate) fn headers(table: &FieldTable) -> Headers {
    headers_within(table, MAX_DEPTH)
}

fn table_within(headers: &Headers, depth: usize) -> Result<FieldTable, ConvertError> {
    let mut table = FieldTable::default();
    for (name, value) in headers.iter() {
        table.insert(bounded(name, "a header name")?, to_wire(value, depth)?);
    }
    Ok(table)
}

fn headers_within(table: &FieldTable, depth: usize) -> Headers {
    table.into_iter().map(|(name, value)| (name.as_str(), from_wire(value, depth))).collect()
}

fn to_wire(value: &HeaderValue, depth: usize) -> Result<AMQPValue, ConvertError> {
    let deeper = || depth.checked_sub(1).ok_or(ConvertError::TooDeep { limit: MAX_DEPTH });
    Ok(match value {
        HeaderValue::Null => AMQPValue::Void,
        HeaderValue::Bool(value) => AMQPValue::Boolean(*value),
        HeaderValue::Int(value) => AMQPValue::LongLongInt(*value),
        HeaderValue::Float(value) => AMQPValue::Double(*value),
        HeaderValue::Text(text) => AMQPValue::LongString(LongString::from(text.as_bytes())),
        HeaderValue::Bytes(bytes) => AMQPValue::ByteArray(bytes.as_ref().into()),
        HeaderValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        HeaderValue::List(list) => {
            let depth = deeper()?;
            let values = list.iter().map(|value| to_wire(value, depth)).collect::<Result<Vec<_>, _>>()?;
            AMQPValue::FieldArray(values.into())
        }
        HeaderValue::Table(headers) => AMQPValue::FieldTable(table_within(headers, deeper()?)?),
        // The enum may grow without this crate.
        other => return Err(ConvertError::Unsupported { found: format!("{other:?}") }),
    })
}

fn from_wire(value: &AMQPValue, depth: usize) -> HeaderValue {
    match value {
        AMQPValue::Boolean(value) => HeaderValue::Bool(*value),
        AMQPValue::ShortShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::ShortUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongUInt(value) => HeaderValue::Int((*value).into()),
        AMQPValue::LongLongInt(value) => HeaderValue::Int(*value),
        AMQPValue::Float(value) => HeaderValue::Float((*value).into()),
        AMQPValue::Double(value) => HeaderValue::Float(*value),
        AMQPValue::DecimalValue(decimal) => {
            HeaderValue::Float(f64::from(decimal.value) / 10_f64.powi(decimal.scale.into()))
        }
        AMQPValue::ShortString(text) => HeaderValue::Text(text.as_str().to_owned()),
        AMQPValue::LongString(text) => text_or_bytes(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes.as_slice())),
        AMQPValue::Timestamp(seconds) => HeaderValue::Timestamp(*seconds),
        AMQPValue::FieldArray(values) if depth > 0 => {
            HeaderValue::List(values.as_slice().iter().map(|value| from_wire(value, depth - 1)).collect())
        }
        AMQPValue::FieldTable(table) if depth > 0 => HeaderValue::Table(headers_within(table, depth - 1)),
        AMQPValue::FieldArray(_) | AMQPValue::FieldTable(_) => {
            tracing::debug!(
                limit = MAX_DEPTH,
                "a delivery has headers that nest too deep, the depth is left out"
            );
            HeaderValue::Null
        }
        AMQPValue::Void => HeaderValue::Null,
    }
}

fn text_or_bytes(bytes: &[u8]) -> HeaderValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => HeaderValue::Text(text.to_owned()),
        Err(_) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes)),
    }
}
