//! `x-consistent-hash`: each key goes to one queue, and few keys move when a queue is added. The binding's key is its weight.
//!
//! <https://www.rabbitmq.com/docs/consistent-hash-exchange>; the plugin's `rabbit_exchange_type_consistent_hash.erl`.

use std::num::IntErrorKind;
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::jump::jump;
use super::{Binding, Destination, Route, phash2};
use crate::core::{AmqpError, Message, erlang, table};

/// What can be hashed instead of the routing key.
const PROPERTIES: [&str; 3] = ["correlation_id", "message_id", "timestamp"];

/// `?MAX_BINDING_WEIGHT`.
const MAX_WEIGHT: usize = 10_000;

/// What is hashed.
#[derive(Debug)]
enum Source {
    RoutingKey,
    Header(String),
    Property(String),
}

/// One bucket for each unit of weight.
#[derive(Debug)]
pub(super) struct ConsistentHash {
    source: Source,
    buckets: Vec<Arc<Binding>>,
}

impl ConsistentHash {
    /// Checks the arguments of an exchange: `rabbit_exchange_type_consistent_hash.erl`, `validate`.
    pub(super) fn check(arguments: &FieldTable) -> Result<(), AmqpError> {
        let source = |key: &str| arguments.inner().get(key);
        let is_text = |value: &AMQPValue| matches!(value, AMQPValue::LongString(_));
        if ["hash-header", "hash-property"].into_iter().filter_map(source).any(|value| !is_text(value)) {
            // The plugin crashes on it.
            return Err(AmqpError::internal_error(""));
        }
        let property = table::get_string(arguments, "hash-property");
        let why = match (arguments.contains_key("hash-header"), property) {
            (true, Some(_)) => "hash-header and hash-property are mutually exclusive".to_owned(),
            (false, Some(name)) if !PROPERTIES.contains(&name) => format!("Unsupported property: {name}"),
            _ => return Ok(()),
        };
        Err(AmqpError::precondition_failed(why))
    }

    pub(super) fn new(arguments: &FieldTable) -> Self {
        let text = |key| table::get_string(arguments, key).map(str::to_owned);
        let source = match (text("hash-header"), text("hash-property")) {
            (Some(header), _) => Source::Header(header),
            (None, Some(property)) => Source::Property(property),
            (None, None) => Source::RoutingKey,
        };
        Self { source, buckets: Vec::new() }
    }

    /// Returns what is hashed: of several keys the first one.
    fn hash(&self, message: &Message) -> i64 {
        match &self.source {
            Source::RoutingKey => phash2::binary(message.routing_key.as_bytes()).into(),
            Source::Header(name) => {
                let headers = message.properties.headers().as_ref();
                let value = headers.and_then(|headers| headers.inner().get(name.as_str()));
                value.map_or(phash2::UNDEFINED.into(), hash_value)
            }
            Source::Property(name) => match property(message, name) {
                Some(text) => phash2::binary(text.as_bytes()).into(),
                None => phash2::UNDEFINED.into(),
            },
        }
    }
}

/// An integer is taken as it is, and of an array its first element, which RabbitMQ hashes together with its type.
fn hash_value(value: &AMQPValue) -> i64 {
    match value {
        AMQPValue::Boolean(flag) => phash2::boolean(*flag).into(),
        AMQPValue::Float(number) => phash2::float((*number).into()).into(),
        AMQPValue::Double(number) => phash2::float(*number).into(),
        AMQPValue::LongString(text) => phash2::binary(text.as_bytes()).into(),
        AMQPValue::ByteArray(bytes) => phash2::binary(bytes.as_slice()).into(),
        AMQPValue::Timestamp(seconds) => i64::try_from(*seconds).unwrap_or_default().wrapping_mul(1000),
        AMQPValue::FieldArray(array) => array.as_slice().first().map_or(phash2::NOTHING.into(), hash_value),
        other => table::integer(other).unwrap_or(phash2::UNDEFINED.into()),
    }
}

fn property(message: &Message, name: &str) -> Option<String> {
    let properties = &message.properties;
    match name {
        "message_id" => properties.message_id().as_ref().map(ToString::to_string),
        "correlation_id" => properties.correlation_id().as_ref().map(ToString::to_string),
        "timestamp" => properties.timestamp().as_ref().map(ToString::to_string),
        _ => None,
    }
}

fn weight(binding: &Binding) -> Result<usize, String> {
    let below = || "The binding key must be greater than 0".to_owned();
    let above = || format!("The binding key must not exceed {MAX_WEIGHT}");
    match binding.key.parse::<i64>() {
        Err(_) if binding.key.is_empty() => Err("The binding key must be an integer: <<>>".to_owned()),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Err(above()),
        Err(error) if *error.kind() == IntErrorKind::NegOverflow => Err(below()),
        Err(_) => {
            Err(format!("The binding key must be an integer: {}", erlang::binary(binding.key.as_bytes())))
        }
        Ok(..1) => Err(below()),
        Ok(weight) => match usize::try_from(weight) {
            Ok(weight) if weight <= MAX_WEIGHT => Ok(weight),
            _ => Err(above()),
        },
    }
}

impl Route for ConsistentHash {
    fn check(&self, binding: &Binding) -> Result<(), AmqpError> {
        weight(binding).map(drop).map_err(AmqpError::precondition_failed)
    }

    fn add(&mut self, binding: &Arc<Binding>) {
        // A second binding of the same queue changes nothing: the plugin keeps the first.
        if !self.buckets.iter().any(|known| known.destination == binding.destination) {
            let weight = weight(binding).unwrap_or(1);
            self.buckets.extend(std::iter::repeat_n(binding, weight).map(Arc::clone));
        }
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        self.buckets.retain(|known| !Arc::ptr_eq(known, binding));
    }

    fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        if let Some(binding) = self.buckets.get(jump(self.hash(message), self.buckets.len())) {
            to(&binding.destination);
        }
    }
}
