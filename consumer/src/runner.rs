//! Runs one consumer: takes deliveries, gives them to its scheduler, drains at the end.
//!
//! It reads in one of three ways. As a rule it reads openly: as many at once as the prefetch says. It reads one by one while it meets
//! messages that come back from consumers that were lost (`one_by_one`), so that the one that kills does not take its neighbours with it.
//! It pauses while too much fails (`paused`), and tries one message now and then.

mod flow;
mod one_by_one;
mod paused;

use std::{sync::Arc, time::Duration};

use garenne_transport::{Delivery, Error, ErrorKind, Settlement, Subscriber};
use tokio_util::sync::CancellationToken;

use self::flow::Flow;
use crate::{dispatch::Scheduler, kill_switch::Found, pace::Pace, watch::Watch, work::Work};

/// How long handlers may take to notice the end of the drain. Only one that blocks its thread needs it.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// How long the broker may take to read the last acknowledgements and to close the channel; everything is settled by then.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// One consumer at work.
pub(crate) struct Runner {
    flow: Flow,
    scheduler: Scheduler,
    pace: Option<Pace>,
    work: Arc<Work>,
    stop: CancellationToken,
    /// A stream is never left: it would be read from its end again.
    is_stream: bool,
}

/// How a consumer reads.
enum Reading {
    /// Nothing was read so far.
    Begins,
    /// As much as the prefetch allows.
    Open,
    /// One message after each pause, because so much failed.
    Paused(Found),
}

/// What a consumer meets next.
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries, and none is kept")]
enum Next {
    Delivery(Delivery),
    TooMuchFailed(Found),
    /// It was asked to stop, or the client was closed.
    Stop,
}

// === impl Runner ===

impl Runner {
    pub(crate) fn new(subscriber: Subscriber, work: &Arc<Work>, stop: &CancellationToken) -> Self {
        Self {
            flow: Flow::new(subscriber, work),
            scheduler: Scheduler::new(work),
            pace: work.pipeline.consumer().rate.and_then(|rate| Pace::new(rate, work)),
            work: Arc::clone(work),
            stop: stop.clone(),
            is_stream: false,
        }
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.work.watch
    }

    /// Runs until `stop` is cancelled or the client is closed; then drains.
    pub(crate) async fn run(mut self) -> Result<(), Error> {
        let mut reading = Reading::Begins;
        // Each returns how to go on; `None` at the stop.
        while let Some(next) = match reading {
            Reading::Begins => self.begin().await,
            Reading::Open => self.open().await,
            Reading::Paused(found) => self.paused(found).await,
        } {
            reading = next;
        }
        self.drain().await
    }

    async fn open(&mut self) -> Option<Reading> {
        loop {
            match self.next().await {
                Next::Delivery(delivery) => self.scheduler.begin(delivery).await,
                Next::TooMuchFailed(found) => return Some(Reading::Paused(found)),
                Next::Stop => return None,
            }
        }
    }

    /// Waits for what is next, at the rate of the consumer.
    async fn next(&mut self) -> Next {
        if let Some(pace) = &mut self.pace {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Next::Stop,
                found = self.work.too_much_failed(), if !self.is_stream => return Next::TooMuchFailed(found),
                () = pace.permit() => {}
            }
        }
        let Some(subscriber) = self.flow.subscriber() else { return Next::Stop };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Stop,
            found = self.work.too_much_failed(), if !self.is_stream => Next::TooMuchFailed(found),
            delivery = self.scheduler.next(subscriber) => delivery.map_or(Next::Stop, Next::Delivery),
        }
    }

    /// Stops the flow, hands back what nobody has begun, waits for what runs. The service cuts that short at its limit.
    async fn drain(self) -> Result<(), Error> {
        let Self { flow, mut scheduler, work, .. } = self;
        let (ending, clock) = (Arc::clone(&work.ending), work.environment.client.clock());
        let (mut subscriber, leaving) = flow.into_parts();
        if let Some(subscriber) = &subscriber {
            ending.cut().run_until_cancelled(subscriber.cancel()).await;
        }
        scheduler.hand_back();
        let hand_back = async {
            while let Some(subscriber) = &mut subscriber
                && let Some(delivery) = subscriber.next().await
            {
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
        let close = async {
            // What these gave out is settled, so that they close now.
            leaving.join_all().await;
            match subscriber {
                Some(subscriber) => subscriber.close(Duration::ZERO).await,
                None => Ok(()),
            }
        };
        match clock.timeout(CLOSE_LIMIT, close).await {
            Ok(Err(error)) if drained.is_some() && ending.settled_after_stop() => {
                let queue = &work.environment.queue;
                let message = format!(
                    "the channel of queue `{queue}` did not close in good order at the stop; the broker may deliver again what was \
                     settled last"
                );
                Err(Error::new(ErrorKind::HandedBack, message).with_source(error))
            }
            // A connection that was lost before the stop takes nothing with it: that was settled or handed back long ago.
            Ok(Err(error)) => {
                tracing::debug!(queue = %work.environment.queue, %error, "the channel did not close in good order");
                Ok(())
            }
            Ok(Ok(())) => Ok(()),
            Err(_) => {
                tracing::warn!(queue = %work.environment.queue, limit = ?CLOSE_LIMIT, "the channel was not closed in time");
                Ok(())
            }
        }
    }
}
