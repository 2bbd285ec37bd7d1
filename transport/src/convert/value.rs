//! Arguments as an AMQP field table.

use garenne_shared::{HeaderValue, Headers};
use lapin::types::{AMQPValue, FieldTable, LongString};

use super::{ConvertError, bounded};

/// How deep lists and tables may nest: far beyond what people write, and far below what could exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Returns the field table that carries the headers.
pub(crate) fn table(headers: &Headers) -> Result<FieldTable, ConvertError> {
    table_within(headers, MAX_DEPTH)
}

fn table_within(headers: &Headers, depth: usize) -> Result<FieldTable, ConvertError> {
    let mut table = FieldTable::default();
    for (name, value) in headers.iter() {
        table.insert(bounded(name, "a header name")?, to_wire(value, depth)?);
    }
    Ok(table)
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
