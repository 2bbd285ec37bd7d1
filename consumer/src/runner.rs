//! Runs one consumer: takes deliveries, gives them to its scheduler, drains at the end.

use std::{sync::Arc, time::Duration};

use garenne_transport::{Error, ErrorKind, Settlement, Subscriber};
use tokio_util::sync::CancellationToken;

use crate::{dispatch::Scheduler, work::Work};

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
        let mut scheduler = Scheduler::new(&self.work);
        loop {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                delivery = scheduler.next(&mut self.subscriber) => delivery,
            };
            let Some(delivery) = delivery else { break };
            scheduler.begin(delivery).await;
        }
        self.drain(scheduler).await
    }

    /// Stops the flow, hands back what nobody has begun, waits for what runs. The service cuts that short at its limit.
    async fn drain(mut self, mut scheduler: Scheduler) -> Result<(), Error> {
        let (ending, clock) = (Arc::clone(&self.work.ending), self.work.environment.client.clock());
        ending.cut().run_until_cancelled(self.subscriber.cancel()).await;
        scheduler.hand_back();
        let hand_back = async {
            while let Some(delivery) = self.subscriber.next().await {
                delivery.unsettled.settle(Settlement::Release);
            }
        };
        let drained =
            ending.cut().run_until_cancelled(async { tokio::join!(hand_back, scheduler.finish()) }).await;
        if drained.is_none() {
            // They hand back what they have; one that blocks its thread cannot, and its delivery goes with the channel.
            if clock.timeout(GRACE, scheduler.finish()).await.is_err() {
                ending.abandoned(scheduler.running());
            }
            drop(scheduler);
        }
        match clock.timeout(CLOSE_LIMIT, self.subscriber.close(Duration::ZERO)).await {
            Ok(Err(error)) if drained.is_some() && ending.settled_after_stop() => {
                let queue = &self.work.environment.queue;
                let message = format!(
                    "the channel of queue `{queue}` did not close in good order at the stop; the broker may deliver again what was \
                     settled last"
                );
                Err(Error::new(ErrorKind::HandedBack, message).with_source(error))
            }
            // A connection that was lost before the stop takes nothing with it: that was settled or handed back long ago.
            Ok(Err(error)) => {
                tracing::debug!(queue = %self.work.environment.queue, %error, "the channel did not close in good order");
                Ok(())
            }
            Ok(Ok(())) => Ok(()),
            Err(_) => {
                tracing::warn!(queue = %self.work.environment.queue, limit = ?CLOSE_LIMIT, "the channel was not closed in time");
                Ok(())
            }
        }
    }
}
