//! Every metric of this crate, by name. The facade is `metrics`; without an exporter they cost next to nothing.

use garenne_shared::QueueName;

use crate::{PublishErrorKind, Role, publish::Outcome};

/// Connections opened, by `role`.
pub(crate) fn connection_opened(role: Role) {
    metrics::gauge!("garenne_connection_up", "role" => role.as_str()).set(1.0);
    metrics::counter!("garenne_connections_opened_total", "role" => role.as_str()).increment(1);
}

/// Connections lost, by `role`.
pub(crate) fn connection_lost(role: Role) {
    connection_down(role);
    metrics::counter!("garenne_connections_lost_total", "role" => role.as_str()).increment(1);
}

/// Notes that a connection is not up, lost or closed.
pub(crate) fn connection_down(role: Role) {
    metrics::gauge!("garenne_connection_up", "role" => role.as_str()).set(0.0);
}

/// Changes how many subscriptions exist, by 1 up or down.
pub(crate) fn subscriptions_wanted(by: f64) {
    metrics::gauge!("garenne_subscriptions_wanted").increment(by);
}

/// Changes how many subscriptions the broker has confirmed, by 1 up or down.
pub(crate) fn subscriptions_confirmed(by: f64) {
    metrics::gauge!("garenne_subscriptions_confirmed").increment(by);
}

/// Whether the broker blocks a connection (0 or 1), by `role`.
pub(crate) fn connection_blocked(role: Role, blocked: bool) {
    metrics::gauge!("garenne_connection_blocked", "role" => role.as_str()).set(if blocked {
        1.0
    } else {
        0.0
    });
}

/// Subscriptions that ended without our asking, by `queue`.
pub(crate) fn subscription_lost(queue: &QueueName) {
    metrics::counter!("garenne_subscriptions_lost_total", "queue" => queue.to_string()).increment(1);
}

/// Subscriptions that came back, by `queue`.
pub(crate) fn resubscribed(queue: &QueueName) {
    metrics::counter!("garenne_resubscribed_total", "queue" => queue.to_string()).increment(1);
}

/// Failed attempts to come back, by `queue`.
pub(crate) fn subscribe_failed(queue: &QueueName) {
    metrics::counter!("garenne_subscribe_failures_total", "queue" => queue.to_string()).increment(1);
}

/// Settlements that came after their channel was gone, so that the broker redelivers, by `queue`.
pub(crate) fn settlements_lost(queue: &QueueName, count: usize) {
    metrics::counter!("garenne_settlements_lost_total", "queue" => queue.to_string()).increment(count as u64);
}

/// Publishes that ended, by `outcome`, and how long a confirm took, in seconds.
pub(crate) fn published(outcome: &Outcome) {
    let name = match outcome {
        Ok(confirmed) => {
            metrics::histogram!("garenne_confirm_seconds").record(confirmed.latency);
            // With a literal there is nothing to allocate and to hash for each message.
            metrics::counter!("garenne_published_total", "outcome" => "confirmed").increment(1);
            return;
        }
        Err(failure) => match failure.kind {
            PublishErrorKind::Unroutable => "unroutable",
            PublishErrorKind::NoExchange => "no_exchange",
            PublishErrorKind::Nacked => "nacked",
            PublishErrorKind::Refused => "refused",
            PublishErrorKind::Unknown => "unknown",
            PublishErrorKind::NotSent => "not_sent",
            PublishErrorKind::Blocked => "blocked",
            PublishErrorKind::TooLarge => "too_large",
            PublishErrorKind::Encode => "encode",
            PublishErrorKind::Closed => "closed",
        },
    };
    metrics::counter!("garenne_published_total", "outcome" => name).increment(1);
}
