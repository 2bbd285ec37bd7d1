//! What becomes of a delivery: the one place that turns the result of a handler into a settlement.
//!
//! A retry is handed back to the broker (`basic.reject` with requeue), which counts it towards the queue's delivery limit. A final
//! failure is copied to the dead-letter queue with the error in its headers, and only when that copy is confirmed is the
//! original acknowledged. While it cannot be confirmed the original stays unacknowledged: it is never lost.

mod dead_letter;

use std::time::Duration;

use garenne_shared::{QueueName, Retry};
use garenne_transport::{Settlement, Unsettled};
use tokio_util::sync::CancellationToken;

use crate::{Context, Decision, Failure, metric::Metrics, pipeline::Pipeline};

/// The longest time that a failed delivery is held before it is handed back: 60 s.
pub const HOLD_MAX: Duration = Duration::from_secs(60);

/// How long to wait between attempts to copy a message to the dead-letter queue.
const COPY_DELAY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Settles what a handler succeeded with.
pub(crate) fn succeed(unsettled: Unsettled, metrics: &Metrics) {
    metrics.ok();
    unsettled.settle(Settlement::Ack);
}

/// Hands back what no handler has begun.
pub(crate) fn hand_back(unsettled: Unsettled) {
    unsettled.settle(Settlement::Release);
}

/// Settles what a handler failed with; takes as long as the hold or the copy takes.
pub(crate) async fn fail(
    pipeline: &Pipeline,
    cx: &Context,
    failure: Failure,
    unsettled: Unsettled,
    stopping: &CancellationToken,
    metrics: &Metrics,
) {
    let consumer = pipeline.consumer();
    let failure = last_attempt(cx, failure);
    let (queue, id, attempt) = (cx.queue(), cx.message_id(), cx.attempt());
    let delay = match failure.decision() {
        Decision::Retry => consumer.retry_delay.delay(attempt).unwrap_or_default(),
        Decision::RetryAfter(delay) => delay,
        Decision::DeadLetter => {
            metrics.dead_letter();
            let kind = failure.kind().as_str();
            tracing::warn!(%queue, id, attempt, kind, error = %failure, "message goes to the dead-letter queue");
            let settlement = copy(consumer.dead_letter_queue.as_ref(), cx, &failure, stopping).await;
            unsettled.settle(settlement);
            return;
        }
    };
    metrics.retry();
    let delay = delay.min(HOLD_MAX);
    tracing::info!(%queue, id, attempt, ?delay, kind = failure.kind().as_str(), error = %failure, "message will be tried again");
    stopping.run_until_cancelled(tokio::time::sleep(delay)).await;
    unsettled.settle(Settlement::Requeue);
}

/// Turns a retry into a final failure where the broker would not count it.
///
/// A classic queue has no delivery limit: a message that always fails would go round for ever. It says at least that a message
/// was delivered before, so there the second failure is the last.
fn last_attempt(cx: &Context, failure: Failure) -> Failure {
    let retries = failure.decision() != Decision::DeadLetter;
    if retries && cx.redelivered() && cx.counted_failures().is_none() {
        return failure.decided(Decision::DeadLetter);
    }
    failure
}

/// Copies the message until the copy is confirmed, or until the service stops.
///
/// The stop is heard between attempts. One that was sent is waited for, as long as the drain lasts: whoever hands the message back
/// meanwhile leaves both it and its copy.
async fn copy(
    to: Option<&QueueName>,
    cx: &Context,
    failure: &Failure,
    stopping: &CancellationToken,
) -> Settlement {
    let message = match dead_letter::message(to, cx, failure) {
        Ok(message) => message,
        Err(error) => {
            // The broker's own dead-lettering is what is left.
            tracing::error!(queue = %cx.queue(), %error, "the dead-letter queue cannot be addressed");
            return Settlement::Reject;
        }
    };
    let publisher = cx.publisher().clone().retry(Retry::never(), Duration::ZERO);
    let delays = Retry::exponential(COPY_DELAY.0..=COPY_DELAY.1).jitter(true);
    let mut failed = 0;
    loop {
        let Err(error) = publisher.publish_raw(message.clone()).await else { return Settlement::Ack };
        failed += 1;
        let delay = delays.delay(failed).unwrap_or(COPY_DELAY.1);
        let (queue, dead_letter_queue) = (cx.queue(), message.routing_key.as_str());
        // A lost connection costs an attempt now and then; what does not pass by itself needs somebody.
        if error.is_transient() && failed < 3 {
            tracing::warn!(%queue, dead_letter_queue, failed, ?delay, %error, "message is not dead-lettered yet, keeping it");
        } else {
            tracing::error!(%queue, dead_letter_queue, failed, ?delay, %error, "message cannot be dead-lettered, keeping it");
        }
        if stopping.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
            return Settlement::Release;
        }
    }
}
