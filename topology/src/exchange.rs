//! Exchanges of every type.

use std::fmt;

use garenne_shared::{ExchangeName, Headers, RoutingKey};
use serde::{Deserialize, Serialize};

use crate::{HeadersMatch, binding::Source, declaration::ExchangeDeclaration};

/// An exchange. Durable unless it is made [`transient`](Self::transient).
///
/// The last constructors need the plugin `rabbitmq_consistent_hash_exchange` or, for [`modulus_hash`](Self::modulus_hash),
/// RabbitMQ 4.3 (before: the plugin `rabbitmq_sharding`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    pub(crate) name: ExchangeName,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) alternate: Option<ExchangeName>,
    pub(crate) bound_elsewhere: bool,
    pub(crate) sources: Vec<Source>,
}

/// How an exchange routes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeKind {
    /// To the bindings whose key equals the routing key.
    Direct,
    /// To the bindings whose pattern matches the routing key: `*` is one word, `#` is any number of words.
    Topic,
    /// To every binding.
    Fanout,
    /// To the bindings whose headers match.
    Headers,
    /// To one binding, chosen by a hash; the key of a binding is its weight. Adding a queue moves few messages to another.
    ConsistentHash(HashBy),
    /// To one binding, chosen by the hash of the routing key modulo the number of bindings.
    ModulusHash,
}

/// What a consistent-hash exchange hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HashBy {
    /// The routing key.
    #[default]
    RoutingKey,
    /// The header of this name.
    Header(String),
    /// The property `message_id`.
    MessageId,
    /// The property `correlation_id`.
    CorrelationId,
    /// The property `timestamp`.
    Timestamp,
}

// === impl Exchange ===

impl Exchange {
    /// Routes to the bindings whose key equals the routing key.
    #[must_use]
    #[track_caller]
    pub fn direct(name: impl Into<ExchangeName>) -> Self {
        Self::new(name.into(), ExchangeKind::Direct)
    }

    /// Routes to the bindings whose pattern matches the routing key: `*` is one word, `#` is any number of words.
    #[must_use]
    #[track_caller]
    pub fn topic(name: impl Into<ExchangeName>) -> Self {
        Self::new(name.into(), ExchangeKind::Topic)
    }

    /// Routes to every binding.
    #[must_use]
    #[track_caller]
    pub fn fanout(name: impl Into<ExchangeName>) -> Self {
        Self::new(name.into(), ExchangeKind::Fanout)
    }

    /// Routes to the bindings whose headers match, see [`HeadersMatch`].
    #[must_use]
    #[track_caller]
    pub fn headers(name: impl Into<ExchangeName>) -> Self {
        Self::new(name.into(), ExchangeKind::Headers)
    }

    /// Spreads messages over its bindings by a consistent hash of the routing key; the key of a binding is its weight, such as `"1"`.
    ///
    /// Needs the plugin `rabbitmq_consistent_hash_exchange`.
    #[must_use]
    #[track_caller]
    pub fn consistent_hash(name: impl Into<ExchangeName>) -> Self {
        Self::consistent_hash_by(name, HashBy::RoutingKey)
    }

    /// Spreads messages over its bindings by a consistent hash of something else than the routing key.
    #[must_use]
    #[track_caller]
    pub fn consistent_hash_by(name: impl Into<ExchangeName>, by: HashBy) -> Self {
        Self::new(name.into(), ExchangeKind::ConsistentHash(by))
    }

    /// Spreads messages over its bindings by the hash of the routing key modulo their number. Needs RabbitMQ 4.3.
    #[must_use]
    #[track_caller]
    pub fn modulus_hash(name: impl Into<ExchangeName>) -> Self {
        Self::new(name.into(), ExchangeKind::ModulusHash)
    }

    pub(crate) const fn new(name: ExchangeName, kind: ExchangeKind) -> Self {
        Self {
            name,
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            alternate: None,
            bound_elsewhere: false,
            sources: Vec::new(),
        }
    }

    /// Hands what no binding takes to this exchange (`alternate-exchange`).
    #[must_use]
    #[track_caller]
    pub fn alternate(mut self, exchange: impl Into<ExchangeName>) -> Self {
        self.alternate = Some(exchange.into());
        self
    }

    /// Lets only other exchanges publish to it.
    #[must_use]
    pub const fn internal(mut self) -> Self {
        self.internal = true;
        self
    }

    /// Deletes it with its last binding.
    #[must_use]
    pub const fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Makes it not survive a restart of the broker.
    #[must_use]
    pub const fn transient(mut self) -> Self {
        self.durable = false;
        self
    }

    /// Says that others bind to it, which switches the warning [`UnboundExchange`](crate::WarningKind::UnboundExchange) off.
    #[must_use]
    pub const fn bound_elsewhere(mut self) -> Self {
        self.bound_elsewhere = true;
        self
    }

    /// Takes messages from another exchange.
    #[must_use]
    #[track_caller]
    pub fn bind(mut self, source: impl Into<ExchangeName>, key: impl Into<RoutingKey>) -> Self {
        self.sources.push(Source { exchange: source.into(), key: key.into(), headers: None });
        self
    }

    /// Takes messages from a headers exchange.
    #[must_use]
    #[track_caller]
    pub fn bind_headers(mut self, source: impl Into<ExchangeName>, headers: HeadersMatch) -> Self {
        let key = RoutingKey::from_static("");
        self.sources.push(Source { exchange: source.into(), key, headers: Some(headers) });
        self
    }

    /// Returns its name.
    #[must_use]
    pub const fn name(&self) -> &ExchangeName {
        &self.name
    }

    /// Returns how it routes.
    #[must_use]
    pub const fn kind(&self) -> &ExchangeKind {
        &self.kind
    }

    pub(crate) fn declaration(&self) -> ExchangeDeclaration {
        let mut arguments = Headers::new();
        if let Some(alternate) = &self.alternate {
            arguments.insert("alternate-exchange", alternate.as_str());
        }
        match &self.kind {
            ExchangeKind::ConsistentHash(HashBy::Header(name)) => {
                arguments.insert("hash-header", name.as_str());
            }
            ExchangeKind::ConsistentHash(HashBy::MessageId) => {
                arguments.insert("hash-property", "message_id");
            }
            ExchangeKind::ConsistentHash(HashBy::CorrelationId) => {
                arguments.insert("hash-property", "correlation_id");
            }
            ExchangeKind::ConsistentHash(HashBy::Timestamp) => arguments.insert("hash-property", "timestamp"),
            _ => {}
        }
        ExchangeDeclaration {
            name: self.name.clone(),
            kind: self.kind.as_str().to_owned(),
            durable: self.durable,
            auto_delete: self.auto_delete,
            internal: self.internal,
            arguments,
        }
    }
}

// === impl ExchangeKind ===

impl ExchangeKind {
    /// Returns the type as the broker names it, such as `topic` or `x-consistent-hash`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Topic => "topic",
            Self::Fanout => "fanout",
            Self::Headers => "headers",
            Self::ConsistentHash(_) => "x-consistent-hash",
            Self::ModulusHash => "x-modulus-hash",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
