//! What is left of a message's properties in a stream, which keeps messages in the form of AMQP 1.0.
//!
//! `mc_amqpl.erl`, `convert_to` and `convert_from`.

use crate::core::field::Field;
use crate::core::properties::{Edit, Properties, Property};

/// Returns the properties with which a stream delivers a message, with what it adds to the headers.
pub(super) fn kept(properties: &Properties, added: &[Edit<'_>]) -> Properties {
    let mut edits = Vec::new();
    for (key, value) in properties.headers() {
        if !is_kept(key, value) {
            edits.push((key, None));
        } else if value.kind == b'x' {
            // Bytes come back as a long string.
            edits.push((key, Some(Field { kind: b'S', ..value })));
        }
    }
    edits.extend(added);
    // AMQP 1.0 knows only durable messages and others.
    let delivery_mode = if properties.octet(Property::DeliveryMode) == Some(2) { 2 } else { 1 };
    properties.with_headers(&edits).with(Property::DeliveryMode, Some(&[delivery_mode]))
}

/// Application properties cannot hold lists or maps. `x-` keys become annotations, which can; some annotations are RabbitMQ's own.
fn is_kept(key: &[u8], value: Field<'_>) -> bool {
    if key.starts_with(b"x-") {
        return !(key.starts_with(b"x-basic-") || matches!(key, b"x-routing-key" | b"x-exchange"));
    }
    match value.kind {
        b'F' => false,
        b'A' => key == b"CC",
        _ => true,
    }
}
