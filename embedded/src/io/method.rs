//! Reads methods and properties from their bytes.

use amq_protocol::protocol::{AMQPClass, basic, parse_class};

use super::fault::Fault;
use super::layout::{self, Checked, MAX_DEPTH, Malformed};
use crate::core::field::{self, Field, Table};
use crate::core::properties::Properties;
use crate::core::text::shown;
use crate::core::{AmqpError, PublishMethod, erlang};

/// A method, read.
#[derive(Debug, PartialEq)]
pub(crate) enum Read {
    /// `basic.publish`, whose names may be any bytes.
    Publish(PublishMethod),
    /// Any other.
    Other(AMQPClass),
}

/// Reads a method of a channel other than 0.
///
/// `rabbit_reader.erl`, `process_frame`: a method that does not exist and a broken table crash the reader.
pub(crate) fn read_method(class: u16, method: u16, fields: &[u8]) -> Result<Read, Fault> {
    let checked = check(class, method, fields)?.map_err(|malformed| match malformed {
        Malformed::Fields => Fault::Close(cannot_decode(fields), (class, method)),
        Malformed::Text => Fault::close(bad_text()),
        Malformed::Table => Fault::Drop,
        Malformed::Depth => Fault::Close(too_deep(), (class, method)),
    })?;
    if (class, method) == (60, 10)
        && let Some(size) = fields.first_chunk().map(|size| u32::from_be_bytes(*size))
        && size != 0
    {
        return Err(Fault::Close(prefetch_size(size), (class, method)));
    }
    if (class, method) == (60, 40) {
        let publish = publish(fields).map(Read::Publish);
        return publish.ok_or_else(|| Fault::Close(cannot_decode(fields), (class, method)));
    }
    parse(class, method, fields, checked).map(Read::Other)
}

/// Reads a method of channel 0: `rabbit_reader.erl`, `handle_method0`.
pub(crate) fn read_method0(class: u16, method: u16, fields: &[u8]) -> Result<AMQPClass, Fault> {
    let checked = check(class, method, fields)?.map_err(|malformed| match malformed {
        Malformed::Fields | Malformed::Table => Fault::close(AmqpError::internal_error("")),
        Malformed::Text => Fault::Close(bad_text(), (class, method)),
        Malformed::Depth => Fault::Close(too_deep(), (class, method)),
    })?;
    parse(class, method, fields, checked)
}

/// Reads the properties of a publish. A channel of RabbitMQ reads them when the content is complete, and crashes if it cannot.
pub(crate) fn read_properties(bytes: &[u8]) -> Result<Properties, Fault> {
    if bytes == [0, 0] {
        return Ok(Properties::default());
    }
    let checked = layout::check_properties(bytes).map_err(|_| Fault::close(AmqpError::internal_error("")))?;
    Ok(Properties::new(bytes, checked.is_plain))
}

fn check(class: u16, method: u16, fields: &[u8]) -> Result<Result<Checked, Malformed>, Fault> {
    let kinds = layout::fields(class, method).ok_or(Fault::Drop)?;
    Ok(layout::check_method(kinds, fields))
}

/// Reads fields that were checked. The methods of the hot path are read by hand: the codec names each bit on the heap.
fn parse(class: u16, method: u16, fields: &[u8], checked: Checked) -> Result<AMQPClass, Fault> {
    let settle = |fields: &[u8]| {
        let (tag, bits) = fields.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*tag), *bits.first()?))
    };
    let found = match (class, method) {
        (60, 80) => settle(fields).map(|(delivery_tag, bits)| {
            basic::AMQPMethod::Ack(basic::Ack { delivery_tag, multiple: bits & 1 != 0 })
        }),
        (60, 90) => settle(fields).map(|(delivery_tag, bits)| {
            basic::AMQPMethod::Reject(basic::Reject { delivery_tag, requeue: bits & 1 != 0 })
        }),
        (60, 120) => settle(fields).map(|(delivery_tag, bits)| {
            let (multiple, requeue) = (bits & 1 != 0, bits & 2 != 0);
            basic::AMQPMethod::Nack(basic::Nack { delivery_tag, multiple, requeue })
        }),
        _ => {
            let mut payload = Vec::with_capacity(4 + fields.len());
            payload.extend(class.to_be_bytes());
            payload.extend(method.to_be_bytes());
            if checked.has_text_keys {
                payload.extend(fields);
            } else {
                payload.extend(with_text_keys(class, method, fields));
            }
            return parse_class(payload.as_slice())
                .map(|(_, class)| class)
                .map_err(|_| Fault::Close(cannot_decode(fields), (class, method)));
        }
    };
    found.map(AMQPClass::Basic).ok_or_else(|| Fault::Close(cannot_decode(fields), (class, method)))
}

fn publish(fields: &[u8]) -> Option<PublishMethod> {
    let (exchange, rest) = short_string(fields.get(2..)?)?;
    let (routing_key, bits) = short_string(rest)?;
    let bits = *bits.first()?;
    Some(PublishMethod {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        mandatory: bits & 1 != 0,
        immediate: bits & 2 != 0,
    })
}

fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    rest.split_at_checked((*length).into())
}

/// Returns the fields with a table that the codec can read: it takes no keys but text. RabbitMQ takes any, and looks at those of arguments
/// in bindings of headers exchanges only.
fn with_text_keys(class: u16, method: u16, fields: &[u8]) -> Vec<u8> {
    let mut rest = fields;
    let mut written = Vec::with_capacity(fields.len() * 2);
    for kind in layout::fields(class, method).unwrap_or_default() {
        let size = match kind {
            b'b' => 1,
            b'w' => 2,
            b'd' => 4,
            b'q' => 8,
            b's' | b'r' => 1 + rest.first().map_or(0, |size| usize::from(*size)),
            _ => 4 + rest.first_chunk().map_or(0, |size| u32::from_be_bytes(*size) as usize),
        };
        let Some((field, next)) = rest.split_at_checked(size) else { break };
        rest = next;
        if *kind == b't' {
            let table = text_keys(Table::new(&field[4..]));
            written.extend(field::size(table.len()));
            written.extend(table);
        } else {
            written.extend(field);
        }
    }
    written
}

/// The recursion is no deeper than [`MAX_DEPTH`].
fn text_keys(table: Table<'_>) -> Vec<u8> {
    let mut written = Vec::new();
    for (key, value) in table {
        let mut key = shown(key).into_owned();
        key.truncate(key.floor_char_boundary(u8::MAX.into()));
        let inner = text_values(value);
        field::write_entry(
            &mut written,
            key.as_bytes(),
            inner.as_deref().map_or(value, |bytes| Field { bytes, ..value }),
        );
    }
    written
}

fn text_values(value: Field<'_>) -> Option<Vec<u8>> {
    match value.kind {
        b'F' => Some(text_keys(Table::new(value.bytes))),
        b'A' => {
            let mut written = Vec::new();
            for value in value.array()? {
                let inner = text_values(value);
                field::write(&mut written, inner.as_deref().map_or(value, |bytes| Field { bytes, ..value }));
            }
            Some(written)
        }
        _ => None,
    }
}

/// `rabbit_misc.erl`, `frame_error`.
fn cannot_decode(fields: &[u8]) -> AmqpError {
    AmqpError::frame_error(format!("cannot decode {}", erlang::bytes(fields)))
}

/// `rabbit_binary_parser.erl`, `assert_utf8`. The names of a publish, properties and keys of tables pass.
fn bad_text() -> AmqpError {
    AmqpError::frame_error("Malformed UTF-8 in shortstr")
}

/// `rabbit_channel.erl`, `handle_method(#'basic.qos'{})`; the codec does not tell the size.
fn prefetch_size(size: u32) -> AmqpError {
    AmqpError::not_implemented(format!("prefetch_size!=0 ({size})"))
}

fn too_deep() -> AmqpError {
    AmqpError::frame_error(format!(
        "field table is nested deeper than {MAX_DEPTH}, the limit of the embedded broker"
    ))
}
