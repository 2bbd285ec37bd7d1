//! The subscription that a consumer reads from, and those that it has left.

use std::{sync::Arc, time::Duration};

use garenne_shared::{QueueName, Retry};
use garenne_transport::{Client, Error, Subscriber, Subscription};
use tokio::task::JoinSet;

use super::CLOSE_LIMIT;
use crate::work::Work;

/// How long to wait between attempts to subscribe anew.
const DELAY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// The subscription that a consumer reads from, and those that it has left.
pub(super) struct Flow {
    subscriber: Option<Subscriber>,
    /// Subscriptions that take no more, and close once everything that they gave out is settled.
    leaving: JoinSet<()>,
    work: Arc<Work>,
}

// === impl Flow ===

impl Flow {
    pub(super) fn new(subscriber: Subscriber, work: &Arc<Work>) -> Self {
        Self { subscriber: Some(subscriber), leaving: JoinSet::new(), work: Arc::clone(work) }
    }

    pub(super) const fn subscriber(&mut self) -> Option<&mut Subscriber> {
        self.subscriber.as_mut()
    }

    /// Takes no more: what has not begun is handed back, what has goes on.
    pub(super) async fn leave(&mut self) {
        while self.leaving.try_join_next().is_some() {}
        if let Some(subscriber) = &self.subscriber {
            subscriber.cancel().await;
        }
        let Some(subscriber) = self.subscriber.take() else { return };
        let queue = self.work.environment.queue.clone();
        self.leaving.spawn(async move {
            if let Err(error) = subscriber.close(Duration::MAX).await {
                tracing::debug!(%queue, %error, "a subscription that was left did not close in good order");
            }
        });
    }

    /// Takes no more, and waits until the queue has back what was handed back; not for long, for what has begun may take its time.
    pub(super) async fn leave_fully(&mut self) {
        self.leave().await;
        let clock = self.work.environment.client.clock();
        let all = async { while self.leaving.join_next().await.is_some() {} };
        if clock.timeout(CLOSE_LIMIT, all).await.is_err() {
            tracing::debug!(queue = %self.work.environment.queue, "a subscription that was left still has messages that were begun");
        }
    }

    /// Subscribes with this prefetch, instead of whatever was. It takes as long as it takes.
    pub(super) async fn subscribe(&mut self, prefetch: u16) {
        self.leave().await;
        let delays = Retry::exponential(DELAY.0..=DELAY.1).jitter(true);
        let mut failed = 0;
        loop {
            let environment = &self.work.environment;
            let (client, queue) = (&environment.client, &environment.queue);
            let error = match open(client, queue, prefetch).await {
                Ok(subscriber) => {
                    self.subscriber = Some(subscriber);
                    return;
                }
                Err(error) => error,
            };
            failed += 1;
            let _problem = client.problem(format!("queue `{queue}` cannot be subscribed to again: {error}"));
            let delay = delays.delay(failed).unwrap_or(DELAY.1);
            tracing::error!(%queue, failed, ?delay, %error, "cannot subscribe again yet");
            client.clock().sleep(delay).await;
        }
    }

    /// Subscribes with the prefetch of the consumer.
    pub(super) async fn subscribe_fully(&mut self) {
        self.subscribe(self.work.pipeline.consumer().effective_prefetch()).await;
    }

    pub(super) fn into_parts(self) -> (Option<Subscriber>, JoinSet<()>) {
        (self.subscriber, self.leaving)
    }
}

async fn open(client: &Client, queue: &QueueName, prefetch: u16) -> Result<Subscriber, Error> {
    client.subscribe(Subscription::new(queue.clone()).prefetch(prefetch)).await
}
