//! `headers`: the binding's arguments are compared with the message's headers. <https://www.rabbitmq.com/docs/exchanges#headers>
//!
//! `rabbit_exchange_type_headers.erl`: keys that begin with `x-` count only for `all-with-x` and `any-with-x`; a value without a type (`void`)
//! asks only for the key. The history of deaths is in no header that could be asked for, unlike what is said of the first and the
//! last death: `mc.erl`, `routing_headers`.

use std::sync::Arc;

use amq_protocol::types::{AMQPValue, FieldTable, ShortString};

use super::{Binding, Destination, Route};
use crate::core::field::{self, Field, Table};
use crate::core::text::shown;
use crate::core::{AmqpError, Message, erlang, table};

/// All bindings.
#[derive(Debug, Default)]
pub(super) struct Headers {
    bindings: Vec<Arc<Binding>>,
}

impl Route for Headers {
    fn check(&self, binding: &Binding) -> Result<(), AmqpError> {
        let text = match binding.arguments.inner().get("x-match") {
            None => return Ok(()),
            Some(AMQPValue::LongString(text)) => text.to_string(),
            Some(other) => {
                return Err(AmqpError::precondition_failed(format!(
                    "Invalid x-match field type {} (value {}); expected longstr",
                    erlang::type_name(other),
                    erlang::term(other)
                )));
            }
        };
        if matches!(text.as_str(), "all" | "any" | "all-with-x" | "any-with-x") {
            return Ok(());
        }
        Err(AmqpError::precondition_failed(format!(
            "Invalid x-match field value {}; expected all, any, all-with-x, or any-with-x",
            erlang::binary(text.as_bytes())
        )))
    }

    fn add(&mut self, binding: &Arc<Binding>) {
        self.bindings.push(Arc::clone(binding));
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        self.bindings.retain(|known| !Arc::ptr_eq(known, binding));
    }

    fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        let headers = message.properties.headers();
        for binding in &self.bindings {
            let is_seen = |key: &str| key != "x-death" || message.deaths.is_empty();
            if matches(&binding.arguments, headers, is_seen) {
                to(&binding.destination);
            }
        }
    }
}

/// A value as Erlang compares it, which does not tell the types of the protocol apart.
#[derive(Debug, PartialEq)]
enum Term<'v> {
    Whole(i128),
    Float(f64),
    Bytes(&'v [u8]),
    Other(Field<'v>),
}

impl<'v> Term<'v> {
    /// A timestamp is a number of seconds in a binding and of milliseconds in a message: `mc_amqpl.erl`, `routing_value`.
    fn of(value: Field<'v>, second: i128) -> Self {
        if let Some(seconds) = value.timestamp() {
            return Self::Whole(i128::from(seconds) * second);
        }
        if let Some(number) = value.float() {
            return Self::Float(number);
        }
        match value.kind {
            b'S' | b'x' => Self::Bytes(value.bytes),
            _ => value.integer().map_or(Self::Other(value), |number| Self::Whole(number.into())),
        }
    }
}

fn matches(arguments: &FieldTable, headers: Table<'_>, is_seen: impl Fn(&str) -> bool) -> bool {
    let kind = table::get_string(arguments, "x-match").unwrap_or("all");
    let with_x = kind.ends_with("-with-x");
    let mut asked = arguments
        .inner()
        .iter()
        .filter(|(key, _)| key.as_str() != "x-match" && (with_x || !key.as_str().starts_with("x-")));
    let mut holds = |(key, wanted): (&ShortString, &AMQPValue)| {
        let key = key.as_str();
        // The arguments of a binding have keys of text, whatever they came as.
        let found = headers.get(key.as_bytes()).or_else(|| {
            let mut headers = headers;
            headers.find(|(found, _)| shown(found) == key).map(|(_, value)| value)
        });
        found.filter(|_| is_seen(key)).is_some_and(|found| match wanted {
            AMQPValue::Void => true,
            wanted => {
                let wanted = field::encode(wanted);
                let wanted = field::first(&wanted);
                wanted.is_some_and(|wanted| Term::of(wanted, 1) == Term::of(found, 1000))
            }
        })
    };
    if kind.starts_with("any") { asked.any(&mut holds) } else { asked.all(&mut holds) }
}
