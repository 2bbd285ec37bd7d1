//! A message with its address: what is sent and what is received.

use bytes::Bytes;

use crate::{ExchangeName, Metadata, RoutingKey};

/// An encoded message on its way to the broker.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// The exchange it is published to.
    pub exchange: ExchangeName,
    /// Its routing key.
    pub routing_key: RoutingKey,
    /// Its properties and headers.
    pub metadata: Metadata,
    /// The encoded body.
    pub body: Bytes,
    /// Whether the broker must return it if no queue takes it. The default is `true`.
    pub mandatory: bool,
}

/// A message as the broker delivered it, still encoded.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// The exchange it was published to (as text: a peer's name is not ours to refuse).
    pub exchange: String,
    /// Its routing key.
    pub routing_key: String,
    /// Whether the broker delivered it before.
    pub redelivered: bool,
    /// Its properties and headers.
    pub metadata: Metadata,
    /// The encoded body.
    pub body: Bytes,
}

// === impl Outgoing ===

impl Outgoing {
    /// Makes a mandatory, persistent message with empty metadata.
    #[must_use]
    pub fn new(
        exchange: impl Into<ExchangeName>,
        routing_key: impl Into<RoutingKey>,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            exchange: exchange.into(),
            routing_key: routing_key.into(),
            metadata: Metadata::new(),
            body: body.into(),
            mandatory: true,
        }
    }
}
