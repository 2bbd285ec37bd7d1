//! A publish between sending and its confirm.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use garenne_shared::{ExchangeName, RoutingKey};
use tokio::sync::oneshot;

use super::{
    PublishError, PublishErrorKind,
    command::{Failure, Told},
};

/// The broker confirmed the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Confirmed {
    /// Whether a queue took it. Always `true` for a mandatory publish; otherwise the broker does not say, and it is `false`.
    pub routed: bool,
    /// The time from sending to the confirm.
    pub latency: Duration,
}

/// A publish that was sent and awaits its confirm. Dropping it does not withdraw the message.
#[must_use = "a publish is only done when its confirm is awaited"]
#[derive(Debug)]
pub struct PendingConfirm {
    outcome: oneshot::Receiver<Told>,
    exchange: ExchangeName,
    routing_key: RoutingKey,
}

// === impl PendingConfirm ===

impl PendingConfirm {
    pub(super) const fn new(
        outcome: oneshot::Receiver<Told>,
        exchange: ExchangeName,
        routing_key: RoutingKey,
    ) -> Self {
        Self { outcome, exchange, routing_key }
    }
}

impl Future for PendingConfirm {
    type Output = Result<Confirmed, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(cx));
        let told = outcome.unwrap_or_else(|_| {
            let detail = "the client was closed before a confirm arrived; it may or may not be stored";
            Err(Failure::new(PublishErrorKind::Unknown, detail))
        });
        Poll::Ready(told.map_err(|failure| failure.of(&self.exchange, &self.routing_key)))
    }
}
