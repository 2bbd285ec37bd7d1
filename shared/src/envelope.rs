//! A message with its address: what is sent and what is received.

use bytes::Bytes;

use crate::{ExchangeName, Metadata, RoutingKey};

/// An encoded message on its way to the broker.
///
/// # As data
///
/// It can be stored and published later: it has one form for serde, in JSON, MessagePack and other formats that describe themselves.
/// Every message comes back as it was, the bytes of a peer ([`Metadata::original`]) among it.
///
/// | field | stands as |
/// |---|---|
/// | `exchange`, `routing_key` | text; required |
/// | `body` | text, or `{"$base64": ".."}` if it is not UTF-8; required |
/// | `mandatory` | a truth value; `true` unless given |
/// | `metadata` | the form of [`Metadata`]; empty unless given |
///
/// An unknown field is an error, so that no misspelt one becomes a default.
///
/// ```
/// use garenne_shared::Outgoing;
///
/// let row = r#"{
///     "exchange": "orders",
///     "routing_key": "order.placed.eu",
///     "metadata": {"message_id": "7", "expiration_ms": 60000, "headers": {"tenant": "acme"}},
///     "body": "{\"id\":7}"
/// }"#;
/// let message: Outgoing = serde_json::from_str(row)?;
/// assert_eq!(message.body, r#"{"id":7}"#);
/// assert!(message.mandatory);
///
/// let error = serde_json::from_str::<Outgoing>(r#"{"exchnage": "orders"}"#).unwrap_err();
/// assert!(error.to_string().starts_with("unknown field `exchnage`, expected one of `exchange`"));
/// # Ok::<_, serde_json::Error>(())
/// ```
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
