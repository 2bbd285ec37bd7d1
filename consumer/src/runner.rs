//! Runs one consumer: takes deliveries, keeps the concurrency, drains at the end.

use std::{sync::Arc, time::Duration};

use garenne_transport::{Delivery, Error, ErrorKind, Settlement, Subscriber};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::work::Work;

/// How long handlers may take to notice the end of the drain. Only one that blocks its thread needs it.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// How long the broker may take to read the last acknowledgements and to close the channel; everything is settled by then.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// One consumer at work.
pub(crate) struct Runner {
    pub(crate) subscriber: Subscriber,
    pub(crate) work: Arc<Work>,
}

// === impl Runner ===

impl Runner {
    /// Runs until `stop` is cancelled or the client is closed; then drains.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut tasks = JoinSet::new();
        let concurrency = self.work.pipeline.consumer().concurrency;
        let slots = Arc::new(Semaphore::new(concurrency.min(Semaphore::MAX_PERMITS)));
        loop {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                delivery = next(&mut self.subscriber, &slots) => delivery,
            };
            let Some((delivery, slot)) = delivery else { break };
            while let Some(ended) = tasks.try_join_next() {
                notice(&ended);
            }
            let work = Arc::clone(&self.work);
            if concurrency == 1 {
                // In this task: no other message may overtake it, and no task is spawned for the usual case. The stop is heard
                // after it, within its timeout and the drain's.
                if let Some(failed) = work.handle(delivery).await {
                    tasks.spawn(async move { work.settle(failed).await });
                }
                drop(slot);
            } else {
                tasks.spawn(async move {
                    let failed = work.handle(delivery).await;
                    // Holding a failed delivery takes none of the concurrency.
                    drop(slot);
                    if let Some(failed) = failed {
                        work.settle(failed).await;
                    }
                });
            }
        }
        self.drain(tasks).await
    }

    /// Stops the flow, hands back what nobody has begun, waits for what runs. The service cuts that short at its limit.
    async fn drain(mut self, mut tasks: JoinSet<()>) -> Result<(), Error> {
        let ending = Arc::clone(&self.work.ending);
        ending.cut().run_until_cancelled(self.subscriber.cancel()).await;
        let hand_back = async {
            while let Some(delivery) = self.subscriber.next().await {
                delivery.unsettled.settle(Settlement::Release);
            }
        };
        let finish = async {
            while let Some(ended) = tasks.join_next().await {
                notice(&ended);
            }
        };
        let drained = ending.cut().run_until_cancelled(async { tokio::join!(hand_back, finish) }).await;
        if drained.is_none() {
            // They hand back what they have; one that blocks its thread cannot, and its delivery goes with the channel.
            let finish = async { while tasks.join_next().await.is_some() {} };
            if timeout(GRACE, finish).await.is_err() {
                ending.abandoned(tasks.len());
            }
            drop(tasks);
        }
        match timeout(CLOSE_LIMIT, self.subscriber.close(Duration::ZERO)).await {
            Ok(Err(error)) if drained.is_some() && ending.settled_after_stop() => {
                let queue = &self.work.station.queue;
                let message = format!(
                    "the channel of queue `{queue}` did not close in good order at the stop; the broker may deliver again what was \
                     settled last"
                );
                Err(Error::new(ErrorKind::HandedBack, message).with_source(error))
            }
            // A connection that was lost before the stop takes nothing with it: that was settled or handed back long ago.
            Ok(Err(error)) => {
                tracing::debug!(queue = %self.work.station.queue, %error, "the channel did not close in good order");
                Ok(())
            }
            Ok(Ok(())) => Ok(()),
            Err(_) => {
                tracing::warn!(queue = %self.work.station.queue, limit = ?CLOSE_LIMIT, "the channel was not closed in time");
                Ok(())
            }
        }
    }
}

/// Waits for a free slot, then for a delivery: nothing is taken that cannot be begun.
async fn next(
    subscriber: &mut Subscriber,
    slots: &Arc<Semaphore>,
) -> Option<(Delivery, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    Some((subscriber.next().await?, slot))
}

/// Tells of a task that ended by a panic. Those of handlers are caught; this one is a fault of ours, and its message comes again.
fn notice(ended: &Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "settling a message ended unexpectedly; the broker delivers it again");
    }
}
