//! A message and the duty to settle it.

use std::{fmt, sync::Arc};

use garenne_shared::Incoming;

use super::settler::Settler;

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
pub struct Unsettled {
    settler: Arc<Settler>,
    generation: u64,
    tag: u64,
    is_settled: bool,
}

/// Tells whether the broker still counts on a delivery. Cheap to clone; it settles nothing.
#[derive(Clone)]
pub struct Liveness {
    settler: Arc<Settler>,
    generation: u64,
}

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

// === impl Unsettled ===

impl Unsettled {
    pub(super) const fn new(settler: Arc<Settler>, generation: u64, tag: u64) -> Self {
        Self { settler, generation, tag, is_settled: false }
    }

    /// Settles the delivery; never blocks. Acknowledgements may wait a moment to share a frame.
    ///
    /// A delivery of a connection that is gone is left to the broker, which redelivers it; the metric
    /// `garenne_settlements_lost_total` counts it.
    pub fn settle(mut self, settlement: Settlement) {
        self.settle_once(settlement);
    }

    /// Returns what tells whether the broker still counts on this delivery, without the duty to settle it.
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        Liveness { settler: Arc::clone(&self.settler), generation: self.generation }
    }

    /// Returns whether the broker still counts on this delivery.
    ///
    /// It does not once the channel of the delivery is gone: the broker delivers the message again, perhaps to another consumer, and
    /// a settlement does nothing.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.is_settled && self.settler.is_current(self.generation)
    }

    /// Waits until the broker no longer counts on this delivery; for ever if that never happens.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn stale(&self) -> impl Future<Output = ()> + Send + use<> {
        let liveness = self.liveness();
        async move { liveness.stale().await }
    }

    fn settle_once(&mut self, settlement: Settlement) {
        if !std::mem::replace(&mut self.is_settled, true) {
            self.settler.settle(self.generation, self.tag, settlement);
        }
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.settle_once(Settlement::Release);
    }
}

impl fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsettled").field("tag", &self.tag).finish_non_exhaustive()
    }
}

// === impl Liveness ===

impl Liveness {
    /// Returns whether the broker still counts on the delivery: its channel is the present one.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.settler.is_current(self.generation)
    }

    /// Waits until the broker no longer counts on the delivery; for ever if that never happens.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stale(&self) {
        self.settler.stale(self.generation).await;
    }
}

impl fmt::Debug for Liveness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Liveness").field("is_current", &self.is_current()).finish()
    }
}
