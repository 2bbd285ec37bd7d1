//! Reads methods and properties from their bytes.

use amq_protocol::protocol::basic::{self, AMQPProperties, parse_properties};
use amq_protocol::protocol::{AMQPClass, parse_class};
use amq_protocol::types::ShortString;

use super::fault::Fault;
use super::layout::{self, MAX_DEPTH, Malformed};
use crate::core::{AmqpError, erlang};

/// Reads a method of a channel other than 0.
///
/// `rabbit_reader.erl`, `process_frame`: a method that does not exist and a broken table crash the reader.
pub(crate) fn read_method(class: u16, method: u16, fields: &[u8]) -> Result<AMQPClass, Fault> {
    check(class, method, fields)?.map_err(|malformed| match malformed {
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
    parse(class, method, fields)
}

/// Reads a method of channel 0: `rabbit_reader.erl`, `handle_method0`.
pub(crate) fn read_method0(class: u16, method: u16, fields: &[u8]) -> Result<AMQPClass, Fault> {
    check(class, method, fields)?.map_err(|malformed| match malformed {
        Malformed::Fields | Malformed::Table => Fault::close(AmqpError::internal_error("")),
        Malformed::Text => Fault::Close(bad_text(), (class, method)),
        Malformed::Depth => Fault::Close(too_deep(), (class, method)),
    })?;
    parse(class, method, fields)
}

/// Reads the properties of a publish. A channel of RabbitMQ reads them when the content is complete, and crashes if it cannot.
pub(crate) fn read_properties(bytes: &[u8]) -> Result<Box<AMQPProperties>, Fault> {
    if bytes == [0, 0] {
        return Ok(Box::default());
    }
    let crash = || Fault::close(AmqpError::internal_error(""));
    layout::check_properties(bytes).map_err(|malformed| match malformed {
        Malformed::Depth => Fault::Close(too_deep(), (60, 40)),
        Malformed::Fields | Malformed::Text | Malformed::Table => crash(),
    })?;
    parse_properties(bytes).map(|(_, properties)| Box::new(properties)).map_err(|_| crash())
}

fn check(class: u16, method: u16, fields: &[u8]) -> Result<Result<(), Malformed>, Fault> {
    let kinds = layout::fields(class, method).ok_or(Fault::Drop)?;
    Ok(layout::check(kinds, fields))
}

/// Reads fields that were checked. The methods of the hot path are read by hand: the codec names each bit on the heap.
fn parse(class: u16, method: u16, fields: &[u8]) -> Result<AMQPClass, Fault> {
    let settle = |fields: &[u8]| {
        let (tag, bits) = fields.split_first_chunk::<8>()?;
        Some((u64::from_be_bytes(*tag), *bits.first()?))
    };
    let found = match (class, method) {
        (60, 40) => publish(fields).map(basic::AMQPMethod::Publish),
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
            payload.extend(fields);
            return parse_class(payload.as_slice())
                .map(|(_, class)| class)
                .map_err(|_| Fault::Close(cannot_decode(fields), (class, method)));
        }
    };
    found.map(AMQPClass::Basic).ok_or_else(|| Fault::Close(cannot_decode(fields), (class, method)))
}

fn publish(fields: &[u8]) -> Option<basic::Publish> {
    let (exchange, rest) = short_string(fields.get(2..)?)?;
    let (routing_key, bits) = short_string(rest)?;
    let bits = *bits.first()?;
    Some(basic::Publish { exchange, routing_key, mandatory: bits & 1 != 0, immediate: bits & 2 != 0 })
}

fn short_string(bytes: &[u8]) -> Option<(ShortString, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked((*length).into())?;
    Some((std::str::from_utf8(text).ok()?.into(), rest))
}

/// `rabbit_misc.erl`, `frame_error`.
fn cannot_decode(fields: &[u8]) -> AmqpError {
    AmqpError::frame_error(format!("cannot decode {}", erlang::bytes(fields)))
}

/// `rabbit_binary_parser.erl`, `assert_utf8`. RabbitMQ lets the names of a publish and of properties pass; the codec cannot.
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
