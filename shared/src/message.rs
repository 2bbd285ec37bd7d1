//! The trait that a message type implements.

use serde::{Serialize, de::DeserializeOwned};

use crate::{ExchangeName, Headers, MessageType, NameError, RoutingKey};

/// A typed message: what it is called, where it is published, and with which key.
///
/// `#[derive(Message)]` writes this impl; it can as well be written by hand.
pub trait Message: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The type, as it travels in the AMQP property `type`.
    const TYPE: MessageType;
    /// The exchange it is published to by default.
    const EXCHANGE: ExchangeName;

    /// Returns the routing key of this message.
    ///
    /// # Errors
    ///
    /// Fails if the fields make a key that AMQP cannot carry (over 255 bytes, control characters).
    fn routing_key(&self) -> Result<RoutingKey, MessageError>;

    /// Adds the headers taken from fields. The default adds none.
    ///
    /// # Errors
    ///
    /// Fails if a field makes a header that AMQP cannot carry.
    fn headers(&self, headers: &mut Headers) -> Result<(), MessageError> {
        let _ = headers;
        Ok(())
    }
}

/// Why a message has no routing key or no headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message `{message_type}` cannot be addressed: {source}")]
pub struct MessageError {
    message_type: MessageType,
    source: NameError,
}

// === impl MessageError ===

impl MessageError {
    /// Makes the error for a message type.
    #[must_use]
    pub const fn new(message_type: MessageType, source: NameError) -> Self {
        Self { message_type, source }
    }
}
