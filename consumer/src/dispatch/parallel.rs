//! Each delivery by itself, as many at once as the concurrency allows; with a concurrency of 1, in order.

use std::sync::Arc;

use garenne_transport::{Delivery, Subscriber};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use super::notice;
use crate::work::Work;

/// The scheduler of [`Dispatch::Parallel`](super::Dispatch::Parallel).
pub(crate) struct Parallel {
    work: Arc<Work>,
    tasks: JoinSet<()>,
    slots: Arc<Semaphore>,
    /// That of the delivery to come.
    slot: Option<OwnedSemaphorePermit>,
    is_in_order: bool,
}

// === impl Parallel ===

impl Parallel {
    pub(super) fn new(work: &Arc<Work>) -> Self {
        let concurrency = work.pipeline.consumer().concurrency;
        Self {
            work: Arc::clone(work),
            tasks: JoinSet::new(),
            slots: Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS))),
            slot: None,
            is_in_order: concurrency == 1,
        }
    }

    /// Waits for a free slot, then for a delivery: nothing is taken that cannot be begun.
    pub(super) async fn next(&mut self, subscriber: &mut Subscriber) -> Option<Delivery> {
        if self.slot.is_none() {
            self.slot = Some(Arc::clone(&self.slots).acquire_owned().await.ok()?);
        }
        subscriber.next().await
    }

    pub(super) async fn begin(&mut self, delivery: Delivery) {
        while let Some(ended) = self.tasks.try_join_next() {
            notice(&ended);
        }
        let (work, slot) = (Arc::clone(&self.work), self.slot.take());
        if self.is_in_order {
            // In this task: no other message may overtake it, and no task is spawned for the usual case. The stop is heard after it,
            // within its timeout and the drain's.
            if let Some(handled) = work.handle(delivery).await {
                self.tasks.spawn(async move { work.settle(handled).await });
            }
            return;
        }
        self.tasks.spawn(async move {
            let handled = work.handle(delivery).await;
            // What is left to do takes none of the concurrency.
            drop(slot);
            if let Some(handled) = handled {
                work.settle(handled).await;
            }
        });
    }

    pub(super) const fn tasks(&mut self) -> &mut JoinSet<()> {
        &mut self.tasks
    }
}
