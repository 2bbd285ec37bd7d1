//! How the deliveries of a consumer become calls of its handlers: one scheduler a consumer, the same settling underneath.
//!
//! A scheduler takes deliveries when it can begin or queue them, runs their handling in tasks of its own, and has every task ended or given
//! up before the channel is closed. It never settles by itself, but to hand back what it has not begun.

mod parallel;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use garenne_transport::{Delivery, Subscriber};
use tokio::task::{JoinError, JoinSet};

use self::parallel::Parallel;
use crate::work::{Handled, Work};

/// How the deliveries of a consumer become calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Dispatch {
    /// Each by itself, as many at once as the concurrency allows.
    #[default]
    Parallel,
    /// Those of one key in order, different keys at once.
    #[cfg(test)]
    Keyed(tests::Key),
    /// Several together.
    #[cfg(test)]
    Batch(usize),
}

/// A scheduler at work.
pub(crate) enum Scheduler {
    Parallel(Parallel),
    #[cfg(test)]
    Keyed(tests::Keyed),
    #[cfg(test)]
    Batch(tests::Batch),
}

// === impl Scheduler ===

impl Scheduler {
    pub(crate) fn new(work: &Arc<Work>) -> Self {
        match work.pipeline.consumer().dispatch {
            Dispatch::Parallel => Self::Parallel(Parallel::new(work)),
            #[cfg(test)]
            Dispatch::Keyed(key) => Self::Keyed(tests::Keyed::new(work, key)),
            #[cfg(test)]
            Dispatch::Batch(size) => Self::Batch(tests::Batch::new(work, size)),
        }
    }

    /// Waits until another delivery can be taken, and for that delivery; `None` if none follows. Cancel safe.
    ///
    /// What becomes due meanwhile is begun here.
    pub(crate) async fn next(&mut self, subscriber: &mut Subscriber) -> Option<Delivery> {
        match self {
            Self::Parallel(parallel) => parallel.next(subscriber).await,
            #[cfg(test)]
            Self::Keyed(keyed) => keyed.next(subscriber).await,
            #[cfg(test)]
            Self::Batch(batch) => batch.next(subscriber).await,
        }
    }

    /// Begins or queues a delivery.
    pub(crate) async fn begin(&mut self, delivery: Delivery) {
        match self {
            Self::Parallel(parallel) => parallel.begin(delivery).await,
            #[cfg(test)]
            Self::Keyed(keyed) => keyed.begin(delivery),
            #[cfg(test)]
            Self::Batch(batch) => batch.begin(delivery),
        }
    }

    /// Hands back what was queued and has not begun: the service stops.
    pub(crate) fn hand_back(&mut self) {
        match self {
            Self::Parallel(_) => {}
            #[cfg(test)]
            Self::Keyed(keyed) => keyed.hand_back(),
            #[cfg(test)]
            Self::Batch(batch) => batch.hand_back(),
        }
    }

    /// Carries out what is to become of a delivery that was handled elsewhere.
    pub(crate) fn settle(&mut self, handled: Handled, work: Arc<Work>) {
        self.tasks().spawn(async move { work.settle(handled).await });
    }

    /// Waits until everything that was begun has ended. Cancel safe.
    pub(crate) async fn finish(&mut self) {
        let tasks = self.tasks();
        while let Some(ended) = tasks.join_next().await {
            notice(&ended);
        }
    }

    /// Returns how many tasks have not ended.
    pub(crate) fn running(&mut self) -> usize {
        self.tasks().len()
    }

    const fn tasks(&mut self) -> &mut JoinSet<()> {
        match self {
            Self::Parallel(parallel) => parallel.tasks(),
            #[cfg(test)]
            Self::Keyed(keyed) => keyed.tasks(),
            #[cfg(test)]
            Self::Batch(batch) => batch.tasks(),
        }
    }
}

/// Tells of a task that ended by a panic. Those of handlers are caught; this one is a fault of ours, and its message comes again.
fn notice<T>(ended: &Result<T, JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "settling a message ended unexpectedly; the broker delivers it again");
    }
}
