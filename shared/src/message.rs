//! The trait that a message type implements.

use std::fmt;

use crate::{ExchangeName, HeaderError, Headers, MessageType, NameError, RoutingKey};

/// A typed message: what it is called, where it is published, and with which key.
///
/// `#[derive(Message)]` writes this impl; it can as well be written by hand.
///
/// Publishing a message needs its `Serialize`, handling it its `Deserialize`: a type that goes one way needs one of them.
///
/// # Examples
///
/// ```
/// use garenne_shared::{ExchangeName, Headers, Message, MessageError, MessageType, RoutingKey};
/// use serde::Serialize;
///
/// #[derive(Serialize)]
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
pub trait Message: Send + Sync + 'static {
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
    /// Fails if a field makes a header that AMQP cannot carry ([`MessageError::header`]).
    fn headers(&self, headers: &mut Headers) -> Result<(), MessageError> {
        let _ = headers;
        Ok(())
    }
}

/// Why a message has no routing key or no headers.
///
/// Its source says what is wrong with the key or the value.
#[derive(Clone, PartialEq, Eq)]
pub struct MessageError {
    message_type: MessageType,
    cause: Cause,
}

#[derive(Clone, PartialEq, Eq)]
enum Cause {
    Key(NameError),
    Header { name: String, error: HeaderError },
}

// === impl MessageError ===

impl MessageError {
    /// Makes the error of a message type whose fields make no routing key.
    #[must_use]
    pub const fn new(message_type: MessageType, source: NameError) -> Self {
        Self { message_type, cause: Cause::Key(source) }
    }

    /// Makes the error of a message type with a field that cannot be the header of this name.
    #[must_use]
    pub fn header(message_type: MessageType, name: impl Into<String>, source: HeaderError) -> Self {
        Self { message_type, cause: Cause::Header { name: name.into(), error: source } }
    }
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message_type, cause } = self;
        match cause {
            Cause::Key(_) => write!(f, "message `{message_type}` cannot be addressed"),
            Cause::Header { name, .. } => {
                write!(f, "message `{message_type}` cannot have its header `{name}`")
            }
        }
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::Chain(self).fmt(f)
    }
}

impl std::error::Error for MessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Key(error) => Some(error),
            Cause::Header { error, .. } => Some(error),
        }
    }
}
