//! Handlers that outlive their delivery: the broker took the message back while they ran.

use std::time::{Duration, Instant};

use garenne_transport::{Client, Problem, Unsettled};

use crate::{Context, Outcome, work::Work};

/// A handler that has outlived its delivery.
pub(crate) struct Late {
    how: Stale,
    begun: Instant,
    /// Ends with the handler.
    _problem: Option<Problem>,
}

/// How a delivery went stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stale {
    /// With its connection, which happens.
    ConnectionLost,
    /// On a connection that is up: the broker ended the consumer or its channel.
    TakenBack,
}

/// Waits until the delivery is stale, and tells how it came.
///
/// RabbitMQ 4.3 cancels a consumer of a quorum queue at the consumer timeout, earlier ones close its channel with 406; both leave the
/// connection up (<https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>).
pub(crate) async fn stale(client: &Client, unsettled: &Unsettled) -> Stale {
    let epoch = client.health().consume.epoch;
    unsettled.stale().await;
    let now = client.health().consume;
    let same = now.epoch == epoch && now.state == garenne_transport::ConnectionState::Connected;
    if same { Stale::TakenBack } else { Stale::ConnectionLost }
}

/// Notes that a delivery went stale in our hands, so that the attempt counts even where the queue does not count it.
pub(crate) fn count(work: &Work, cx: &Context, how: Stale) {
    work.metrics.stale();
    if how == Stale::TakenBack {
        // RabbitMQ 4.3 counts neither a consumer timeout nor a cancel; before, quorum queues counted every return.
        let queue_counts_it = !work.environment.client.capabilities().uncounted_nack;
        work.environment.tally.went_stale(cx.incoming(), queue_counts_it);
    }
}

// === impl Late ===

impl Late {
    /// Tells that the message is on its way to somebody else while its handler runs.
    pub(crate) fn begin(work: &Work, cx: &Context, begun: Instant, how: Stale) -> Self {
        count(work, cx, how);
        let (queue, id, attempt, elapsed) = (cx.queue(), cx.message_id(), cx.attempt(), begun.elapsed());
        let message_type = cx.metadata().message_type.as_ref().map(ToString::to_string);
        if how == Stale::ConnectionLost {
            tracing::info!(
                %queue, id, message_type, attempt, ?elapsed,
                "the connection was lost while a handler runs: the broker delivers its message again"
            );
            return Self { how, begun, _problem: None };
        }
        let timeout = work.pipeline.consumer().timeout;
        tracing::warn!(
            %queue, id, message_type, attempt, ?elapsed, handler_timeout = ?timeout,
            "the broker took a message back while its handler runs, and delivers it again: it has waited longer than the broker's \
             consumer timeout, or the queue is gone; raise the timeout (policy `consumer-timeout`, argument `x-consumer-timeout`), \
             lower the handler's (`Consumer::timeout`), or lower the prefetch, since the wait in line counts, too"
        );
        let text = format!(
            "a handler of queue `{queue}` runs longer than the broker waits (its consumer timeout): raise `consumer-timeout` \
             or lower `Consumer::timeout`"
        );
        Self { how, begun, _problem: Some(work.environment.client.problem(text)) }
    }

    /// Notes how the handler ended; its delivery cannot be settled any more.
    pub(crate) fn end(self, work: &Work, cx: &Context, outcome: &Outcome) {
        let (queue, id, elapsed): (_, _, Duration) = (cx.queue(), cx.message_id(), self.begun.elapsed());
        match outcome.failure() {
            // What it deferred is not published for a stale delivery: it is handled again.
            None if self.how == Stale::TakenBack && outcome.publishes().is_empty() => {
                work.environment.tally.finished_late(cx.incoming());
                if id.is_some() {
                    tracing::warn!(
                        %queue, id, ?elapsed,
                        "handled, but too late to be acknowledged: it is acknowledged when it comes again"
                    );
                } else {
                    tracing::warn!(
                        %queue, ?elapsed,
                        "handled, but too late to be acknowledged, and it will be handled again, because it has no message id to recognize \
                         it by: let its publisher set one"
                    );
                }
            }
            None => {
                tracing::info!(%queue, id, ?elapsed, "handled after its delivery had gone stale: it may come again");
            }
            // The executor tells of failures.
            Some(_) => {}
        }
    }
}
