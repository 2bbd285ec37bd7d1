//! Faults that a test asks for: what a healthy RabbitMQ does once a year, on demand.

mod answer;
mod control;

use std::fmt;
use std::time::Duration;

pub use self::answer::AnswerFault;
pub use self::control::Faults;

/// What goes wrong.
///
/// "Instead of the method" means that the broker never handles it: a message that was being published is lost. "After the method"
/// means that the broker has done its work, but the client does not learn it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Resets the TCP connection, instead of the method.
    CutConnection,
    /// Resets the TCP connection, after the method: what the broker had to answer is lost.
    CutConnectionAfter,
    /// Nothing is read or written any more while the TCP connection stays open, after the method: what a dead network looks like.
    HalfOpen,
    /// Whatever the client sends is swallowed, after the method, while heartbeats and deliveries still go out: a connection that lives
    /// and answers nothing.
    ///
    /// ```
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// # let broker = garenne_embedded::Broker::start().await?;
    /// // No confirm comes any more on the connections that are open now; a new one works.
    /// broker.faults().strike(&garenne_embedded::Fault::Swallow);
    /// # Ok(())
    /// # }
    /// ```
    Swallow,
    /// The broker reads nothing for so long, in real time, after the method; what it has to say still goes out.
    PauseReading(Duration),
    /// Closes the connection with this reply code and text, instead of the method.
    CloseConnection {
        /// The reply code, such as 320.
        code: u16,
        /// The reply text after the code's name.
        text: String,
    },
    /// Closes the channel with this reply code and text, instead of the method.
    CloseChannel {
        /// The reply code, such as 406.
        code: u16,
        /// The reply text after the code's name.
        text: String,
    },
    /// Refuses the message with `basic.nack` and does not store it. Only for a publish on a channel in confirm mode.
    Nack,
    /// Stores the message and does not confirm it until [`Faults::release_confirms`]. Only for a publish on a channel in confirm mode.
    WithholdConfirm,
    /// Sends `connection.blocked` with this reason and reads nothing more until [`Fault::Unblock`], after the method.
    Block {
        /// The reason, such as `low on memory`.
        reason: String,
    },
    /// Sends `connection.unblocked` and reads on.
    Unblock,
    /// Cancels every consumer of the connection, as when their queue were deleted, after the method.
    CancelConsumers,
    /// Takes every unacknowledged delivery of the connection back and delivers it again, after the method.
    Redeliver,
}

impl Fault {
    /// Returns whether the method is not handled when this strikes.
    pub(crate) fn is_instead(&self) -> bool {
        matches!(self, Self::CutConnection | Self::CloseConnection { .. } | Self::CloseChannel { .. })
    }

    /// Returns whether this is about one publish, and does nothing to anything else.
    pub(crate) fn is_for_publish(&self) -> bool {
        matches!(self, Self::Nack | Self::WithholdConfirm)
    }
}

/// What goes wrong with a TCP connection before AMQP begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectFault {
    /// The connection is reset at once, as by a port where nobody listens.
    Refuse,
    /// The connection is accepted and closed without a word.
    AcceptThenClose,
    /// The connection is accepted and nothing is ever said.
    Silent,
    /// The connection is cut once so many bytes came from the client.
    CutAfterReceived(u64),
    /// The connection is cut once so many bytes went to the client.
    CutAfterSent(u64),
    /// At most so many bytes a second are read from the client.
    SlowReader {
        /// Bytes a second, at least 1.
        bytes_per_second: u64,
    },
}

/// In what order and how summed up confirms go out.
///
/// Returns go out at once. In every order but the default other confirms may come between a return and the confirm of the same
/// message: a client that takes a return for that of the next confirm, as lapin does, mixes them up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfirmOrder {
    /// As RabbitMQ does it: summed up with `multiple` where possible.
    #[default]
    Coalesced,
    /// One by one, in the order of the publishes.
    Single,
    /// One by one, the latest first.
    Reversed,
    /// Any order that the specification allows, drawn from the seed: single and `multiple`, out of order, far from the returns.
    Adversarial,
}

/// A fault that struck.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// The number of the method that it struck at, counted over all connections from 1.
    pub method_number: u64,
    /// The method, such as `basic.publish`.
    pub method: &'static str,
    /// What happened.
    pub fault: Fault,
}

impl fmt::Display for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "method {} ({}): {:?}", self.method_number, self.method, self.fault)
    }
}
