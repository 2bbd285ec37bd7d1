//! Runs one consumer: takes deliveries, keeps the concurrency, drains at the end.

use std::{sync::Arc, time::Duration};

use garenne_transport::{Delivery, Error, Subscriber, Unsettled};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{Context, context::Station, metric::Metrics, pipeline::Pipeline, recover};

/// One consumer at work.
pub(crate) struct Runner {
    pub(crate) subscriber: Subscriber,
    pub(crate) work: Arc<Work>,
    pub(crate) drain_timeout: Duration,
}

/// What every delivery of a consumer needs.
pub(crate) struct Work {
    pub(crate) pipeline: Pipeline,
    pub(crate) station: Arc<Station>,
    pub(crate) metrics: Metrics,
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
            while tasks.try_join_next().is_some() {}
            let work = Arc::clone(&self.work);
            if concurrency == 1 {
                // In this task: no other message may overtake it, and no task is spawned for the usual case. The stop is heard
                // after it, within its timeout.
                if let Some(failed) = work.handle(delivery).await {
                    tasks.spawn(async move { failed.settle(&work).await });
                }
                drop(slot);
            } else {
                tasks.spawn(async move {
                    let failed = work.handle(delivery).await;
                    // Holding a failed delivery takes none of the concurrency.
                    drop(slot);
                    if let Some(failed) = failed {
                        failed.settle(&work).await;
                    }
                });
            }
        }
        self.drain(tasks).await
    }

    /// Stops the flow, hands back what nobody has begun, waits for what runs.
    async fn drain(mut self, mut tasks: JoinSet<()>) -> Result<(), Error> {
        let deadline = Instant::now() + self.drain_timeout;
        self.subscriber.cancel().await;
        let hand_back = async {
            while let Some(delivery) = self.subscriber.next().await {
                recover::hand_back(delivery.unsettled);
            }
        };
        let finish = async { while tasks.join_next().await.is_some() {} };
        let drained = timeout_at(deadline, async { tokio::join!(hand_back, finish) }).await.is_ok();
        if !drained {
            let queue = &self.work.station.queue;
            tracing::warn!(%queue, running = tasks.len(), "handlers were still running at the end of the drain");
            // Dropping a delivery hands it back.
            tasks.shutdown().await;
        }
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        self.subscriber.close(left).await
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

/// A delivery whose handler failed.
struct Failed {
    cx: Context,
    failure: crate::Failure,
    unsettled: Unsettled,
}

// === impl Work ===

impl Work {
    /// Handles one delivery and settles it if that succeeded.
    async fn handle(&self, delivery: Delivery) -> Option<Failed> {
        let Delivery { message, unsettled } = delivery;
        let cx = Context::new(message, Arc::clone(&self.station));
        let running = self.metrics.begin();
        let handled = self.pipeline.handle(cx.clone()).await;
        drop(running);
        match handled {
            Ok(()) => {
                recover::succeed(unsettled, &self.metrics);
                None
            }
            Err(failure) => Some(Failed { cx, failure, unsettled }),
        }
    }
}

// === impl Failed ===

impl Failed {
    async fn settle(self, work: &Work) {
        let Self { cx, failure, unsettled } = self;
        recover::fail(&work.pipeline, &cx, failure, unsettled, &work.station.stopping, &work.metrics).await;
    }
}
