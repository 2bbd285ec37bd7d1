//! How a message stands in JSON and other formats of serde: a row of an outbox, an exported dead letter, a scheduled message.
//!
//! Everything is a map by name, in formats as well that know structs without names, so that what is stored is still read when a
//! field is added. What has its default is left out. The form is described at [`Outgoing`] and [`Metadata`].

mod time;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap};

use self::time::{Lifetime, Moment};
use crate::{
    DeliveryMode, ExchangeName, Headers, MessageType, Metadata, Original, Outgoing, RoutingKey,
    headers::form::Opaque,
};

// === impl Serialize ===

impl Serialize for Outgoing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { exchange, routing_key, metadata, body, mandatory } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("exchange", exchange)?;
        map.serialize_entry("routing_key", routing_key)?;
        unless_default(&mut map, "mandatory", mandatory, &true)?;
        unless_default(&mut map, "metadata", metadata, &Metadata::new())?;
        map.serialize_entry("body", &Opaque(body))?;
        map.end()
    }
}

impl Serialize for Metadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let moment = self.timestamp.map(Moment::of).transpose().map_err(serde::ser::Error::custom)?;
        let lifetime = self.expiration.map(Lifetime::of).transpose().map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        given(&mut map, "message_id", self.message_id.as_ref())?;
        given(&mut map, "message_type", self.message_type.as_ref())?;
        given(&mut map, "content_type", self.content_type.as_ref())?;
        given(&mut map, "content_encoding", self.content_encoding.as_ref())?;
        given(&mut map, "correlation_id", self.correlation_id.as_ref())?;
        given(&mut map, "reply_to", self.reply_to.as_ref())?;
        given(&mut map, "app_id", self.app_id.as_ref())?;
        given(&mut map, "user_id", self.user_id.as_ref())?;
        given(&mut map, "timestamp_s", moment.map(|moment| moment.seconds))?;
        given(&mut map, "timestamp_ns", moment.map(|moment| moment.nanos).filter(|nanos| *nanos > 0))?;
        given(&mut map, "expiration_ms", lifetime.map(|lifetime| lifetime.millis))?;
        given(&mut map, "expiration_ns", lifetime.map(|lifetime| lifetime.nanos).filter(|nanos| *nanos > 0))?;
        given(&mut map, "priority", self.priority)?;
        unless_default(&mut map, "delivery_mode", &self.delivery_mode, &DeliveryMode::default())?;
        unless_default(&mut map, "headers", &self.headers, &Headers::new())?;
        given(&mut map, "original", self.original.as_ref())?;
        map.end()
    }
}

impl Serialize for Original {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("exchange", &Opaque(self.exchange()))?;
        map.serialize_entry("routing_key", &Opaque(self.routing_key()))?;
        map.serialize_entry("properties", &Opaque(self.properties()))?;
        map.end()
    }
}

fn given<M: SerializeMap>(
    map: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, &value))
}

fn unless_default<M: SerializeMap, T: Serialize + PartialEq>(
    map: &mut M,
    name: &'static str,
    value: &T,
    default: &T,
) -> Result<(), M::Error> {
    if value == default { Ok(()) } else { map.serialize_entry(name, value) }
}

// === impl Deserialize ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "Outgoing")]
struct OutgoingForm {
    exchange: ExchangeName,
    routing_key: RoutingKey,
    #[serde(default = "mandatory")]
    mandatory: bool,
    #[serde(default)]
    metadata: Metadata,
    body: Opaque<Bytes>,
}

const fn mandatory() -> bool {
    true
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename = "Metadata")]
struct MetadataForm {
    message_id: Option<String>,
    message_type: Option<MessageType>,
    content_type: Option<String>,
    content_encoding: Option<String>,
    correlation_id: Option<String>,
    reply_to: Option<String>,
    app_id: Option<String>,
    user_id: Option<String>,
    timestamp_s: Option<i64>,
    timestamp_ns: Option<u32>,
    expiration_ms: Option<u64>,
    expiration_ns: Option<u32>,
    priority: Option<u8>,
    delivery_mode: DeliveryMode,
    headers: Headers,
    original: Option<Original>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "Original")]
struct OriginalForm {
    exchange: Opaque<Bytes>,
    routing_key: Opaque<Bytes>,
    properties: Opaque<Bytes>,
}

impl<'de> Deserialize<'de> for Outgoing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let OutgoingForm { exchange, routing_key, mandatory, metadata, body: Opaque(body) } =
            OutgoingForm::deserialize(deserializer)?;
        Ok(Self { exchange, routing_key, metadata, body, mandatory })
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let form = MetadataForm::deserialize(deserializer)?;
        let timestamp = Moment::read(form.timestamp_s, form.timestamp_ns).map_err(D::Error::custom)?;
        let expiration = Lifetime::read(form.expiration_ms, form.expiration_ns).map_err(D::Error::custom)?;
        Ok(Self {
            message_id: form.message_id,
            message_type: form.message_type,
            content_type: form.content_type,
            content_encoding: form.content_encoding,
            correlation_id: form.correlation_id,
            reply_to: form.reply_to,
            app_id: form.app_id,
            user_id: form.user_id,
            timestamp,
            expiration,
            priority: form.priority,
            delivery_mode: form.delivery_mode,
            headers: form.headers,
            original: form.original,
        })
    }
}

impl<'de> Deserialize<'de> for Original {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let OriginalForm { exchange, routing_key, properties } = OriginalForm::deserialize(deserializer)?;
        Ok(Self::new(exchange.0, routing_key.0, properties.0))
    }
}

#[cfg(test)]
mod tests;
