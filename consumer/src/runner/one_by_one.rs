//! One message after the other, while messages come back from consumers that were lost.
//!
//! The broker counts the loss of a consumer as a failure of every message that it had, not only of the one whose handler killed it
//! (<https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>). Read with a prefetch, the neighbours of a message that kills
//! every consumer reach the delivery limit together with it. Read one by one, each failure is that of one message.
//!
//! What comes back stands at the front of the queue, so the first message tells. A consumer subscribes with a prefetch of 1 for it: whatever
//! more it had in hand could be lost with it.

use std::sync::Arc;

use garenne_transport::Delivery;

use super::{Next, Reading, Runner};
use crate::{facts::QueueFacts, work::Work};

/// From how many failures on a message makes a consumer cautious: one loss happens, two may be a loop.
const SUSPICIOUS: u32 = 2;

/// Where a message stands in its stream (<https://www.rabbitmq.com/docs/streams#consuming>); other queues do not write it.
const STREAM_OFFSET: &str = "x-stream-offset";

// === impl Runner ===

impl Runner {
    /// Takes the first message, and decides by it how to read.
    pub(super) async fn begin(&mut self) -> Option<Reading> {
        if !begins_with_one(&self.work) {
            return Some(Reading::Open);
        }
        let delivery = match self.next().await {
            Next::Delivery(delivery) => delivery,
            Next::TooMuchFailed(found) => return Some(Reading::Paused(found)),
            Next::Stop => return None,
        };
        if self.is_suspicious(&delivery) {
            return self.one_by_one(delivery).await;
        }
        self.widen(delivery).await
    }

    /// Reads one by one until a message comes that no consumer was lost with, or as many as one consumer can have had.
    async fn one_by_one(&mut self, first: Delivery) -> Option<Reading> {
        let work = Arc::clone(&self.work);
        let (queue, failures) = (&work.environment.queue, self.failures(&first));
        tracing::warn!(
            %queue, failures,
            "messages come back from consumers that were lost: they are read one by one, so that one that kills its consumer does not take \
             its neighbours to the delivery limit"
        );
        let notice = work.environment.client.notice(format!(
            "queue `{queue}` is read one by one, because messages came back from consumers that were lost"
        ));
        let mut left = work.pipeline.consumer().effective_prefetch();
        let mut delivery = first;
        while left > 0 && self.is_suspicious(&delivery) {
            left -= 1;
            if let Some(handled) = work.handle(delivery).await {
                self.scheduler.settle(handled, Arc::clone(&work));
            }
            delivery = match self.next().await {
                Next::Delivery(delivery) => delivery,
                Next::TooMuchFailed(found) => return Some(Reading::Paused(found)),
                Next::Stop => return None,
            };
        }
        tracing::info!(%queue, "the messages that came back are handled: the queue is read with its prefetch again");
        drop(notice);
        self.widen(delivery).await
    }

    /// Reads openly from this message on.
    async fn widen(&mut self, first: Delivery) -> Option<Reading> {
        match first.message.metadata.headers.int(STREAM_OFFSET) {
            None => self.flow.widen(),
            Some(offset) => {
                let widened = self.flow.subscribe_fully(Some(offset.saturating_add(1)));
                self.stop.run_until_cancelled(widened).await?;
            }
        }
        self.scheduler.begin(first).await;
        Some(Reading::Open)
    }

    fn failures(&self, delivery: &Delivery) -> u32 {
        let environment = &self.work.environment;
        environment
            .tally
            .written_failures(&delivery.message, environment.client.capabilities().uncounted_nack)
    }

    fn is_suspicious(&self, delivery: &Delivery) -> bool {
        self.failures(delivery) >= threshold(&self.work.environment.facts)
    }
}

/// Returns whether a consumer subscribes with a prefetch of 1 until its first message is known: where the queue may count failures.
pub(crate) fn begins_with_one(work: &Work) -> bool {
    work.environment.facts.counts != Some(false)
}

/// Returns how many failures make a consumer cautious: fewer where the limit leaves no room for two.
fn threshold(facts: &QueueFacts) -> u32 {
    match facts.delivery_limit {
        Some(limit) if limit < 2 * SUSPICIOUS => 1,
        _ => SUSPICIOUS,
    }
}
