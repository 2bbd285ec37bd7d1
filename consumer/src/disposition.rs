//! What becomes of a delivery, decided from the outcome of its handling and which attempt it was.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use garenne_shared::{Outgoing, Retry};

use crate::{Consumer, Context, Decision, FailureKind, Outcome, report::Report};

/// What becomes of a delivery.
#[derive(Debug)]
pub(crate) enum Disposition {
    /// It is acknowledged, once these are confirmed.
    Done {
        publishes: Vec<Outgoing>,
    },
    Failed(Remedy),
}

/// What becomes of a delivery whose handling failed.
#[derive(Debug)]
pub(crate) enum Remedy {
    /// It is handed back, and counted as failed.
    Retry { report: Report, retrying: Retrying },
    /// It waits on: a retry tier handed it back before its time.
    Wait { left: Duration },
    /// A copy goes to the dead-letter queue, then it is acknowledged.
    DeadLetter { report: Report },
}

/// How a delivery waits for its next attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retrying {
    /// The time until the next attempt.
    pub(crate) delay: Duration,
    /// How much of it the queue itself does not delay.
    pub(crate) hold: Duration,
    /// Whether the delay is to be kept, and not only to be near.
    pub(crate) exactly: bool,
}

// === impl Disposition ===

impl Disposition {
    /// Decides what becomes of a delivery.
    pub(crate) fn decide(consumer: &Consumer, cx: &Context, outcome: Outcome) -> Self {
        match outcome.into_result() {
            Ok(publishes) => Self::Done { publishes },
            Err(report) => Self::Failed(Remedy::decide(consumer, cx, report)),
        }
    }
}

// === impl Remedy ===

impl Remedy {
    /// Decides what becomes of a delivery whose handling failed.
    pub(crate) fn decide(consumer: &Consumer, cx: &Context, report: Report) -> Self {
        let asked = match report.decision {
            Decision::DeadLetter => return Self::DeadLetter { report },
            Decision::Retry => None,
            Decision::RetryAfter(delay) => Some(delay),
        };
        let policy = match &report.policy {
            Some(policy) => &**policy,
            None => consumer.policy(cx.metadata().message_type.as_ref()),
        };
        match next_delay(policy, cx) {
            Some(delay) => {
                let (delay, by_broker) = (asked.unwrap_or(delay), broker_delay(cx));
                let retrying = Retrying {
                    delay: delay.max(by_broker),
                    hold: delay.saturating_sub(by_broker),
                    exactly: asked.is_some() || !policy.has_jitter(),
                };
                Self::Retry { report, retrying }
            }
            None => Self::DeadLetter { report },
        }
    }
}

/// Returns how long the broker delays the next attempt by itself.
fn broker_delay(cx: &Context) -> Duration {
    let environment = cx.environment();
    match environment.facts.broker_delays {
        // `min(min * delivery_count, max)`, <https://www.rabbitmq.com/docs/quorum-queues#delayed-retry>.
        Some((first, longest)) if environment.client.capabilities().delayed_retry => {
            first.saturating_mul(cx.count().failures.saturating_add(1)).min(longest)
        }
        _ => Duration::ZERO,
    }
}

/// Returns the delay before the next attempt, or `None` if this one was the last.
///
/// The last attempt is ours, because what the broker takes away at its limit carries no error. A queue that does not count says no more than
/// that there was a delivery before: a message that always fails would go round for ever, so the second failure is the last there.
fn next_delay(policy: &Retry, cx: &Context) -> Option<Duration> {
    let (attempt, count) = (cx.attempt(), cx.count());
    let uncounted = cx.redelivered() && !count.counted;
    // The queue counts from 0 again what comes back from a retry tier.
    let at_limit = cx.environment().facts.delivery_limit.is_some_and(|limit| count.failures >= limit);
    if uncounted || at_limit {
        return None;
    }
    // A policy may be code of the service.
    catch_unwind(AssertUnwindSafe(|| policy.delay(attempt))).unwrap_or_else(|panic| {
        let panic = Report::panic("the retry policy", panic);
        tracing::error!(queue = %cx.queue(), error = panic.text(), "there is no further attempt");
        None
    })
}

/// Tells whether a message had all its attempts already, the last of which outlived its delivery, so that nothing could be settled.
pub(crate) fn exhausted(consumer: &Consumer, cx: &Context) -> Option<Report> {
    let count = cx.count();
    if count.stale == 0 {
        return None;
    }
    let by_limit = cx.environment().facts.delivery_limit.map(|limit| limit.saturating_add(1));
    let by_policy = consumer.policy(cx.metadata().message_type.as_ref()).max_attempts();
    let by_kind = (!count.counted).then_some(2);
    let last = [by_limit, by_policy, by_kind].into_iter().flatten().min()?;
    (cx.attempt() > last).then(|| {
        let message = format!(
            "its handler outlived its delivery {} times: the broker's consumer timeout is shorter than the handler takes",
            count.stale
        );
        Report::new(Decision::DeadLetter, FailureKind::Timeout, message)
    })
}
