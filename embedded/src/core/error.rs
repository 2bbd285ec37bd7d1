//! The errors that a broker raises, as the AMQP specification numbers them and RabbitMQ words them.

use std::fmt;

/// What an error closes.
///
/// RabbitMQ follows the specification's split in soft and hard errors: `rabbit_framing_amqp_0_9_1.erl`, `lookup_amqp_exception`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The channel: `channel.close`.
    Channel,
    /// The whole connection: `connection.close`.
    Connection,
}

/// An error that closes a channel or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AmqpError {
    /// The reply code, such as 404.
    pub(crate) code: u16,
    /// The reply text after the code's name: `no queue 'q' in vhost '/'`.
    pub(crate) text: String,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $constructor:ident = $code:literal, $name:literal, $scope:ident;)+) => {
        impl AmqpError {
            $($(#[$doc])* pub(crate) fn $constructor(text: impl Into<String>) -> Self {
                Self { code: $code, text: text.into() }
            })+

            /// Returns the name that RabbitMQ puts in front of the text.
            pub(crate) fn name(&self) -> &'static str {
                match self.code {
                    $($code => $name,)+
                    _ => "INTERNAL_ERROR",
                }
            }

            /// Returns what the error closes.
            pub(crate) fn scope(&self) -> Scope {
                match self.code {
                    $($code => Scope::$scope,)+
                    _ => Scope::Connection,
                }
            }
        }
    };
}

errors! {
    /// An operator or a stopping broker closes the connection.
    connection_forced = 320, "CONNECTION_FORCED", Connection;
    /// No permission, or a reserved name.
    access_refused = 403, "ACCESS_REFUSED", Channel;
    /// No such exchange or queue.
    not_found = 404, "NOT_FOUND", Channel;
    /// A queue that is exclusive to another connection.
    resource_locked = 405, "RESOURCE_LOCKED", Channel;
    /// Arguments that do not fit, or an unknown delivery tag.
    precondition_failed = 406, "PRECONDITION_FAILED", Channel;
    /// A malformed frame.
    frame_error = 501, "FRAME_ERROR", Connection;
    /// A method that is not valid here.
    command_invalid = 503, "COMMAND_INVALID", Connection;
    /// A channel that is not open.
    channel_error = 504, "CHANNEL_ERROR", Connection;
    /// A frame that does not belong here.
    unexpected_frame = 505, "UNEXPECTED_FRAME", Connection;
    /// A queue that a transaction was to reach is gone.
    resource_error = 506, "RESOURCE_ERROR", Connection;
    /// A vhost, a limit or a consumer tag that is not allowed.
    not_allowed = 530, "NOT_ALLOWED", Connection;
    /// A method or an option that this broker does not have.
    not_implemented = 540, "NOT_IMPLEMENTED", Connection;
    /// The broker contradicts itself.
    internal_error = 541, "INTERNAL_ERROR", Connection;
}

/// Writes the reply text as it goes over the wire: `NOT_FOUND - no queue 'q' in vhost '/'`.
impl fmt::Display for AmqpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.name(), self.text)
    }
}
