//! One message after the other, while messages come back from consumers that were lost.
//!
//! The broker counts the loss of a consumer as a failure of every message that it had, not only of the one whose handler killed it
//! (<https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>). Read with a prefetch, the neighbours of a message that kills
//! every consumer reach the delivery limit together with it. Read one by one, each failure is that of one message.
//!
//! What comes back stands at the front of the queue, so the first message tells. If it came back before, the consumer hands back all that it
//! was given, before any handler begins, and asks for one. RabbitMQ before 4.3 counts what is handed back: there it does not.

use std::sync::Arc;

use garenne_transport::{Delivery, Settlement};

use super::{Next, Reading, Runner};
use crate::facts::QueueFacts;

/// From how many failures on a message makes a consumer cautious: one loss happens, two may be a loop.
const SUSPICIOUS: u32 = 2;

/// Where a message stands in its stream (<https://www.rabbitmq.com/docs/streams#consuming>); other queues do not write it.
const STREAM_OFFSET: &str = "x-stream-offset";

// === impl Runner ===

impl Runner {
    /// Takes the first message, and decides by it how to read.
    pub(super) async fn begin(&mut self) -> Option<Reading> {
        let delivery = match self.next().await {
            Next::Delivery(delivery) => delivery,
            Next::TooMuchFailed(found) => return Some(Reading::Paused(found)),
            Next::Stop => return None,
        };
        self.is_stream = delivery.message.metadata.headers.int(STREAM_OFFSET).is_some();
        if !self.is_suspicious(&delivery) {
            self.scheduler.begin(delivery).await;
            return Some(Reading::Open);
        }
        // No handler has begun, so that none can fail with its neighbours; and nothing of it counts before all of it is back.
        delivery.unsettled.settle(Settlement::Release);
        self.narrow().await?;
        self.one_by_one().await
    }

    async fn narrow(&mut self) -> Option<()> {
        self.flow.leave_fully().await;
        self.stop.run_until_cancelled(self.flow.subscribe(1)).await
    }

    /// Reads one by one until a message comes that no consumer was lost with, or as many as one consumer can have had.
    async fn one_by_one(&mut self) -> Option<Reading> {
        let work = Arc::clone(&self.work);
        let queue = &work.environment.queue;
        tracing::warn!(
            %queue,
            "messages come back from consumers that were lost: they are read one by one, so that one that kills its consumer does not take \
             its neighbours to the delivery limit"
        );
        let notice = work.environment.client.notice(format!(
            "queue `{queue}` is read one by one, because messages came back from consumers that were lost"
        ));
        let mut left = work.pipeline.consumer().effective_prefetch();
        loop {
            let delivery = match self.next().await {
                Next::Delivery(delivery) => delivery,
                Next::TooMuchFailed(found) => return Some(Reading::Paused(found)),
                Next::Stop => return None,
            };
            let is_last = left == 0 || !self.is_suspicious(&delivery);
            left = left.saturating_sub(1);
            if let Some(handled) = work.handle(delivery).await {
                self.scheduler.settle(handled, Arc::clone(&work));
            }
            if is_last {
                break;
            }
        }
        tracing::info!(%queue, "the messages that came back are handled: the queue is read with its prefetch again");
        drop(notice);
        self.flow.leave_fully().await;
        self.stop.run_until_cancelled(self.flow.subscribe_fully()).await?;
        Some(Reading::Open)
    }

    fn failures(&self, delivery: &Delivery) -> u32 {
        let environment = &self.work.environment;
        environment
            .tally
            .written_failures(&delivery.message, environment.client.capabilities().uncounted_nack)
    }

    fn is_suspicious(&self, delivery: &Delivery) -> bool {
        let environment = &self.work.environment;
        environment.client.capabilities().uncounted_nack
            && self.failures(delivery) >= threshold(&environment.facts)
    }
}

/// Returns how many failures make a consumer cautious: fewer where the limit leaves no room for two.
fn threshold(facts: &QueueFacts) -> u32 {
    match facts.delivery_limit {
        Some(limit) if limit < 2 * SUSPICIOUS => 1,
        _ => SUSPICIOUS,
    }
}
