//! Consuming: a subscription that comes back by itself, and settling each delivery exactly once.

use std::time::Duration;

use garenne_shared::{Headers, Incoming, QueueName};

use crate::Error;

/// What to subscribe to, and how.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Subscription {
    /// The queue.
    pub queue: QueueName,
    /// How many deliveries the broker may have outstanding, 1 to 65535. The default is 100.
    pub prefetch: u16,
    /// Whether no other consumer may read the queue. The default is `false`.
    pub exclusive: bool,
    /// Further consumer arguments, such as `x-priority`.
    pub arguments: Headers,
    /// How acknowledgements are gathered.
    pub settle: SettleConfig,
}

/// How acknowledgements are gathered into few frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettleConfig {
    /// Flush after this many. The default is 50, at most half the prefetch.
    pub flush_count: u16,
    /// Flush after this time. The default is 5 ms.
    pub flush_interval: Duration,
}

/// A subscription that comes back by itself after cancels, channel errors and lost connections.
#[derive(Debug)]
pub struct Subscriber {}

/// A message and the duty to settle it.
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: Incoming,
    /// The duty to settle it, exactly once.
    pub unsettled: Unsettled,
}

/// The duty to settle one delivery. Dropping it hands the delivery back ([`Settlement::Release`]).
#[must_use = "a delivery that is not settled blocks the prefetch window"]
#[derive(Debug)]
pub struct Unsettled {}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// Done: `basic.ack`.
    Ack,
    /// Refused: `basic.reject` without requeue; the broker dead-letters it.
    Reject,
    /// Failed, to be tried again: `basic.reject` with requeue; counts towards the delivery limit.
    Requeue,
    /// Not tried: `basic.nack` with requeue; RabbitMQ 4.3 does not count it.
    Release,
}

// === impl Subscription ===

impl Subscription {
    /// Makes a subscription with the defaults.
    #[must_use]
    pub fn new(queue: impl Into<QueueName>) -> Self {
        Self {
            queue: queue.into(),
            prefetch: 100,
            exclusive: false,
            arguments: Headers::new(),
            settle: SettleConfig { flush_count: 50, flush_interval: Duration::from_millis(5) },
        }
    }

    /// Sets how many deliveries the broker may have outstanding.
    #[must_use]
    pub const fn prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch;
        self
    }
}

// === impl Subscriber ===

impl Subscriber {
    /// Stub of the seam.
    pub(crate) async fn open(
        link: crate::link::Link,
        subscription: Subscription,
        registry: std::sync::Arc<Registry>,
    ) -> Result<Self, Error> {
        let _ = (link.open_channel().await?.channel, subscription, registry);
        todo!()
    }

    /// Waits for the next delivery; `None` once the subscription was cancelled and everything delivered before was returned.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no delivery is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Delivery> {
        todo!()
    }

    /// Stops new deliveries (`basic.cancel`); what the broker has sent still comes from [`next`](Self::next).
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have cancelled.
    pub async fn cancel(&self) {
        todo!()
    }

    /// Cancels, waits up to `deadline` until everything delivered is settled and written, and closes the channel.
    ///
    /// # Errors
    ///
    /// Fails if deliveries were left unsettled at the deadline; the broker redelivers them.
    ///
    /// # Cancel safety
    ///
    /// A dropped call closes the channel: unsettled deliveries are redelivered.
    pub async fn close(self, deadline: Duration) -> Result<(), Error> {
        let _ = deadline;
        todo!()
    }
}

// === impl Unsettled ===

impl Unsettled {
    /// Settles the delivery. A delivery of a connection that is gone is left to the broker, which redelivers it.
    pub fn settle(self, settlement: Settlement) {
        let _ = settlement;
        todo!()
    }
}

/// Stub of the seam.
#[derive(Debug, Default)]
pub(crate) struct Registry {}

impl Registry {
    pub(crate) fn subscriptions(&self) -> usize {
        todo!()
    }

    pub(crate) fn subscribed(&self) -> usize {
        todo!()
    }
}
