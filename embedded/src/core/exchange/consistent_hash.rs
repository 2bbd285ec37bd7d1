//! `x-consistent-hash`: each key goes to one queue, and few keys move when a queue is added. The binding's key is its weight.
//!
//! <https://www.rabbitmq.com/docs/consistent-hash-exchange>; the plugin's `rabbit_exchange_type_consistent_hash.erl`.

use std::borrow::Cow;
use std::num::IntErrorKind;
use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable};

use super::jump::jump;
use super::{Binding, Destination, Route, phash2};
use crate::core::field::Field;
use crate::core::properties::Property;
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
            Source::RoutingKey => phash2::binary(&message.routing_key).into(),
            Source::Header(name) => {
                let value = message.properties.headers().get(name.as_bytes());
                value.map_or(phash2::UNDEFINED.into(), hash_value)
            }
            Source::Property(name) => match property(message, name) {
                Some(bytes) => phash2::binary(&bytes).into(),
                None => phash2::UNDEFINED.into(),
            },
        }
    }
}

/// An integer is taken as it is, and of an array its first element, which RabbitMQ hashes together with its type.
fn hash_value(value: Field<'_>) -> i64 {
    match value.kind {
        b't' => phash2::boolean(value.bytes != [0]).into(),
        b'f' | b'd' => phash2::float(value.float().unwrap_or_default()).into(),
        b'S' | b'x' => phash2::binary(value.bytes).into(),
        b'T' => i64::try_from(value.timestamp().unwrap_or_default()).unwrap_or_default().wrapping_mul(1000),
        b'A' => value.array().and_then(|mut array| array.next()).map_or(phash2::NOTHING.into(), hash_value),
        _ => value.integer().unwrap_or(phash2::UNDEFINED.into()),
    }
}

fn property<'m>(message: &'m Message, name: &str) -> Option<Cow<'m, [u8]>> {
    let properties = &message.properties;
    match name {
        "message_id" => properties.raw(Property::MessageId).map(Cow::from),
        "correlation_id" => properties.raw(Property::CorrelationId).map(Cow::from),
        "timestamp" => Some(properties.timestamp()?.to_string().into_bytes().into()),
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
