//! The trait that a message type implements.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::{ExchangeName, Headers, MessageType, NameError, RoutingKey};

/// A typed message: what it is called, where it is published, and with which key.
///
/// `#[derive(Message)]` writes this impl; it can as well be written by hand.
///
/// # Examples
///
/// ```
/// use garenne_shared::{ExchangeName, Headers, Message, MessageError, MessageType, RoutingKey};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct OrderPlaced {
///     id: u64,
///     region: String,
///     tenant: String,
/// }
///
/// impl Message for OrderPlaced {
///     const TYPE: MessageType = MessageType::from_static("order.placed.v1");
///     const EXCHANGE: ExchangeName = ExchangeName::from_static("orders");
///
///     fn routing_key(&self) -> Result<RoutingKey, MessageError> {
///         RoutingKey::try_from(format!("order.placed.{}", self.region)).map_err(|error| MessageError::new(Self::TYPE, error))
///     }
///
///     fn headers(&self, headers: &mut Headers) -> Result<(), MessageError> {
///         headers.insert("tenant", self.tenant.as_str());
///         Ok(())
///     }
/// }
///
/// let order = OrderPlaced { id: 1, region: "eu".into(), tenant: "acme".into() };
/// assert_eq!(order.routing_key()?, "order.placed.eu");
/// # Ok::<_, MessageError>(())
/// ```
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
///
/// Its source says what is wrong with the name.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("message `{message_type}` cannot be addressed")]
pub struct MessageError {
    message_type: MessageType,
    source: NameError,
}

// === impl MessageError ===

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::Chain(self).fmt(f)
    }
}

impl MessageError {
    /// Makes the error for a message type.
    #[must_use]
    pub const fn new(message_type: MessageType, source: NameError) -> Self {
        Self { message_type, source }
    }
}
