//! Exchanges, bindings and policies.

use garenne_shared::{HeaderValue, Headers, NameError};
use garenne_topology::{Binding, Destination, ExchangeDeclaration};

use crate::form;

/// An exchange.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObservedExchange {
    /// Its name; empty for the default exchange.
    pub name: String,
    /// Its type as the broker names it, such as `topic` or `x-consistent-hash`.
    pub kind: String,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
    /// Whether only other exchanges may publish to it.
    pub internal: bool,
    /// Its arguments as declared.
    pub arguments: Headers,
    /// The policy that applies to it.
    pub policy: Option<String>,
}

/// A binding.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObservedBinding {
    /// The exchange that messages come from.
    pub source: String,
    /// Where they go.
    pub destination: ObservedDestination,
    /// The binding key.
    pub routing_key: String,
    /// Its arguments, such as those of a headers exchange.
    ///
    /// An argument without a value and the text `undefined` are one in the API; both are read as without a value.
    pub arguments: Headers,
}

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObservedDestination {
    /// To a queue.
    Queue(String),
    /// To an exchange.
    Exchange(String),
}

/// A policy.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ObservedPolicy {
    /// Its name.
    pub name: String,
    /// The regular expression for the names of what it applies to.
    pub pattern: String,
    /// What it applies to, as the broker names it: `queues`, `classic_queues`, `quorum_queues`, `streams`, `exchanges` or `all`.
    pub apply_to: String,
    /// Of several policies for one object, that with the highest priority applies.
    pub priority: i64,
    /// What it sets, such as `delivery-limit`.
    pub definition: Headers,
}

// === impl ObservedExchange ===

impl ObservedExchange {
    /// Returns the declaration that made it.
    ///
    /// # Errors
    ///
    /// Fails if Garenne does not take its name.
    pub fn declaration(&self) -> Result<ExchangeDeclaration, NameError> {
        Ok(ExchangeDeclaration {
            name: self.name.parse()?,
            kind: self.kind.clone(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments: self.arguments.clone(),
        })
    }
}

impl From<form::Exchange> for ObservedExchange {
    fn from(form: form::Exchange) -> Self {
        Self {
            name: form.name,
            kind: form.kind,
            durable: form.durable,
            auto_delete: form.auto_delete,
            internal: form.internal,
            arguments: form.arguments,
            policy: form.policy.filter(|name| !name.is_empty()),
        }
    }
}

// === impl ObservedBinding ===

impl ObservedBinding {
    /// Returns it as a topology declares it.
    ///
    /// # Errors
    ///
    /// Fails if Garenne does not take one of its names.
    pub fn binding(&self) -> Result<Binding, NameError> {
        Ok(Binding {
            source: self.source.parse()?,
            destination: match &self.destination {
                ObservedDestination::Queue(name) => Destination::Queue(name.parse()?),
                ObservedDestination::Exchange(name) => Destination::Exchange(name.parse()?),
            },
            routing_key: self.routing_key.parse()?,
            arguments: self.arguments.clone(),
        })
    }
}

impl From<form::Binding> for ObservedBinding {
    fn from(form: form::Binding) -> Self {
        let destination = match form.destination_type.as_str() {
            "exchange" => ObservedDestination::Exchange(form.destination),
            _ => ObservedDestination::Queue(form.destination),
        };
        let arguments = form.arguments.into_iter().map(|(name, value)| (name, given(value))).collect();
        Self { source: form.source, destination, routing_key: form.routing_key, arguments }
    }
}

/// RabbitMQ writes an argument without a value, by which a headers exchange asks only for presence, as this text.
fn given(value: HeaderValue) -> HeaderValue {
    if value == HeaderValue::Text("undefined".to_owned()) { HeaderValue::Null } else { value }
}

// === impl ObservedPolicy ===

impl From<form::Policy> for ObservedPolicy {
    fn from(form: form::Policy) -> Self {
        Self {
            name: form.name,
            pattern: form.pattern,
            apply_to: form.apply_to,
            priority: form.priority,
            definition: form.definition,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_without_a_value_is_read_as_it_was_declared() {
        let json = r#"{"source":"x","destination":"q","destination_type":"queue","routing_key":"",
            "arguments":{"tenant":"undefined","format":"pdf"}}"#;
        let binding = ObservedBinding::from(serde_json::from_str::<form::Binding>(json).unwrap());
        assert_eq!(binding.arguments.get("tenant"), Some(&HeaderValue::Null));
        assert_eq!(binding.arguments.text("format"), Some("pdf"));
        assert_eq!(binding.binding().unwrap().destination, Destination::Queue("q".into()));
    }
}
