//! What happens to connections and subscriptions, for everyone who watches.

use std::fmt;

use garenne_shared::QueueName;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// What a connection is for. Publishing and consuming never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Publishing.
    Publish,
    /// Consuming and declaring.
    Consume,
}

// === impl Role ===

impl Role {
    /// Returns the role in one word: `publish` or `consume`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Consume => "consume",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that happened to a connection or a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection is up; `epoch` counts the connections of this role from 1.
    Connected {
        /// The connection.
        role: Role,
        /// Which one in a row.
        epoch: u64,
    },
    /// A connection was lost; another is being opened.
    Lost {
        /// The connection.
        role: Role,
        /// Which one in a row.
        epoch: u64,
        /// Why.
        reason: String,
    },
    /// The broker blocked the connection: an alarm is on.
    Blocked {
        /// The connection.
        role: Role,
        /// The broker's reason.
        reason: String,
    },
    /// The broker lifted the block.
    Unblocked {
        /// The connection.
        role: Role,
    },
    /// A subscription ended without our asking: queue deleted, channel closed, connection lost. It is being opened again.
    SubscriptionLost {
        /// The queue.
        queue: QueueName,
        /// Why.
        reason: String,
    },
    /// A subscription is back.
    Resubscribed {
        /// The queue.
        queue: QueueName,
        /// How many attempts it took.
        attempts: u32,
    },
}

/// A stream of events. A slow watcher misses the oldest ones; [`Events::next`] says how many.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    closed: CancellationToken,
}

// === impl Events ===

impl Events {
    pub(crate) const fn new(receiver: broadcast::Receiver<Event>, closed: CancellationToken) -> Self {
        Self { receiver, closed }
    }

    /// Waits for the next event; `None` after the client was closed. Missed events are skipped.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no event is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let received = tokio::select! {
                biased;
                received = self.receiver.recv() => received,
                () = self.closed.cancelled() => return self.receiver.try_recv().ok(),
            };
            match received {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "watcher of events is slow");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
