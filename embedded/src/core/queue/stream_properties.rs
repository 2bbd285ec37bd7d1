//! What is left of a message's properties in a stream, which keeps messages in the form of AMQP 1.0.
//!
//! `mc_amqpl.erl`, `convert_to` and `convert_from`.

use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::{AMQPValue, FieldTable};

/// Returns the properties and the headers with which a stream delivers a message.
pub(super) fn kept(mut properties: AMQPProperties) -> (AMQPProperties, FieldTable) {
    let mut headers = FieldTable::default();
    for (key, value) in properties.headers().iter().flat_map(FieldTable::inner) {
        if is_kept(key.as_str(), value) {
            headers.insert(key.clone(), as_text(value));
        }
    }
    // AMQP 1.0 knows only durable messages and others.
    let delivery_mode = if *properties.delivery_mode() == Some(2) { 2 } else { 1 };
    properties = properties.with_delivery_mode(delivery_mode);
    (properties, headers)
}

/// Application properties hold no lists and maps, message annotations, which the keys with `x-` become, do; some of those are RabbitMQ's own.
fn is_kept(key: &str, value: &AMQPValue) -> bool {
    if key.starts_with("x-") {
        return !(key.starts_with("x-basic-") || matches!(key, "x-routing-key" | "x-exchange"));
    }
    match value {
        AMQPValue::FieldTable(_) => false,
        AMQPValue::FieldArray(_) => key == "CC",
        _ => true,
    }
}

/// Bytes come back as a long string.
fn as_text(value: &AMQPValue) -> AMQPValue {
    match value {
        AMQPValue::ByteArray(bytes) => AMQPValue::LongString(bytes.as_slice().into()),
        other => other.clone(),
    }
}
