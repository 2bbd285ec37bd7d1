//! A message on its way to a lane: checked, converted, with its place in the window.

use std::{borrow::Cow, sync::Arc, time::Instant};

use bytes::Bytes;
use garenne_shared::{ExchangeName, RoutingKey};
use lapin::BasicProperties;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Confirmed, PublishError, PublishErrorKind};

/// A message on its way to a lane.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) identity: Identity,
    pub(super) properties: BasicProperties,
    pub(super) header_len: usize,
    pub(super) body: Bytes,
    pub(super) mandatory: bool,
    pub(super) waiter: Waiter,
}

/// What a returned message is recognized by: a return carries all three, and no delivery tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) message_id: String,
    pub(super) exchange: ExchangeName,
    pub(super) routing_key: RoutingKey,
}

/// Who waits for the outcome, and the place in the window that goes with it.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) reply: Option<oneshot::Sender<Told>>,
    pub(super) sent: Instant,
    /// By count and by bytes.
    pub(super) places: [OwnedSemaphorePermit; 2],
    /// Counted as under way until it is dropped.
    pub(super) _counted: Arc<()>,
}

/// The outcome as it is told to whoever waits.
pub(crate) type Told = Result<Confirmed, Failure>;

/// A failure before it is given the address of its message.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: PublishErrorKind,
    pub(super) detail: Cow<'static, str>,
    pub(super) source: Option<crate::Error>,
}

// === impl Command ===

impl Command {
    /// Ends the publish before anything was sent.
    pub(super) fn refuse(mut self, failure: Failure) {
        self.waiter.tell(Err(failure));
    }
}

// === impl Waiter ===

impl Waiter {
    /// Tells the outcome, unless one was told before (a confirm after its timeout).
    pub(super) fn tell(&mut self, outcome: Told) {
        if let Some(reply) = self.reply.take() {
            crate::metric::published(&outcome);
            // Nobody may be listening: the message is published all the same.
            let _ = reply.send(outcome);
        }
    }

    /// Returns how many bytes of the window it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.places[1].num_permits() as u64
    }

    /// Returns `true` once an outcome was told.
    pub(super) const fn is_told(&self) -> bool {
        self.reply.is_none()
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(kind: PublishErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), source: None }
    }

    pub(super) fn because(mut self, source: crate::Error) -> Self {
        self.source = Some(source);
        self
    }

    /// Makes the error about a message.
    pub(super) fn of(self, exchange: &ExchangeName, routing_key: &RoutingKey) -> PublishError {
        let error = PublishError::new(self.kind, exchange.clone(), routing_key.clone(), self.detail);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
