//! A publish between sending and its confirm.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use garenne_shared::{ExchangeName, RoutingKey};
use tokio::sync::oneshot;

use super::{
    PublishError, UnknownCause,
    command::{Failure, Outcome},
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

/// A publish that was sent and awaits its confirm, of a message that the caller keeps. Dropping it does not withdraw the message.
#[must_use = "a publish is only done when its confirm has come"]
#[derive(Debug)]
pub struct Sent(oneshot::Receiver<Outcome>);

/// A publish that was sent and awaits its confirm. Dropping it does not withdraw the message.
#[must_use = "a publish is only done when its confirm is awaited"]
#[derive(Debug)]
pub struct PendingConfirm {
    sent: Sent,
    exchange: ExchangeName,
    routing_key: RoutingKey,
}

// === impl Sent ===

impl Sent {
    pub(super) const fn new(outcome: oneshot::Receiver<Outcome>) -> Self {
        Self(outcome)
    }

    /// Polls for the outcome; the address is that of the message, for an error.
    ///
    /// # Errors
    ///
    /// The outcome is an error if no confirm came, or one that says that the message is not where it should be.
    ///
    /// # Panics
    ///
    /// Panics if polled again after it is done.
    pub fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &ExchangeName,
        routing_key: &RoutingKey,
    ) -> Poll<Result<Confirmed, PublishError>> {
        let outcome = ready!(Pin::new(&mut self.0).poll(cx));
        let outcome = outcome.unwrap_or_else(|_| {
            let detail = "the client was closed before a confirm arrived; it may or may not be stored";
            Err(Failure::unknown(UnknownCause::ClientClosed, detail))
        });
        Poll::Ready(outcome.map_err(|failure| failure.of(exchange, routing_key)))
    }
}

// === impl PendingConfirm ===

impl PendingConfirm {
    pub(super) const fn new(sent: Sent, exchange: ExchangeName, routing_key: RoutingKey) -> Self {
        Self { sent, exchange, routing_key }
    }
}

impl Future for PendingConfirm {
    type Output = Result<Confirmed, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sent, exchange, routing_key } = &mut *self;
        sent.poll_outcome(cx, exchange, routing_key)
    }
}
