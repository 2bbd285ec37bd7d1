//! A message on its way to the broker: checked, encoded, with its place in the window.

use std::{
    borrow::Cow,
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use garenne_shared::{ExchangeName, Original, RoutingKey, TextProperty};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{Confirmed, PublishError, PublishErrorKind};
use crate::wire::{Content, frame, method};

/// A message on its way to the broker.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) message: Encoded,
    pub(super) waiter: Waiter,
}

/// A message as it goes out.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) exchange: ExchangeName,
    pub(super) routing_key: Bytes,
    pub(super) properties: Bytes,
    pub(super) body: Bytes,
    pub(super) mandatory: bool,
    /// `None` if the broker does not return it.
    pub(super) identity: Option<Identity>,
}

/// What a returned message is recognized by: message id, exchange and routing key, hashed. A return carries all three, and no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity(pub(super) u64);

/// Makes identities.
#[derive(Debug, Clone, Default)]
pub(super) struct Identities(RandomState);

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

/// The outcome as the caller gets it.
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

// === impl Encoded ===

impl Encoded {
    /// Returns the length of the content header's frame.
    pub(super) const fn header_len(&self) -> usize {
        /// Class, weight and body size (AMQP 0-9-1 section 4.2.6.1).
        const FIXED: usize = 2 + 2 + 8;
        frame::OVERHEAD + FIXED + self.properties.len()
    }

    /// Writes all frames of the publish.
    pub(super) fn write(&self, out: &mut Vec<u8>, channel: u16, frame_max: usize) {
        let publish = |out: &mut Vec<u8>| {
            method::write_publish(out, self.exchange.as_str().as_bytes(), &self.routing_key, self.mandatory);
        };
        frame::write_content(out, channel, frame_max, publish, &self.properties, &self.body);
    }
}

// === impl Identities ===

impl Identities {
    pub(super) fn of(&self, message_id: &[u8], exchange: &[u8], routing_key: &[u8]) -> Identity {
        Identity(self.0.hash_one((message_id, exchange, routing_key)))
    }

    /// Recognizes a returned message.
    pub(super) fn of_returned(&self, content: &Content) -> Identity {
        let Content { exchange, routing_key, properties, .. } = content;
        let original = Original::new(exchange.clone(), routing_key.clone(), properties.clone());
        let message_id = original.text(TextProperty::MessageId).unwrap_or_default();
        self.of(message_id, exchange, routing_key)
    }
}

// === impl Waiter ===

impl Waiter {
    /// Tells the outcome, unless one was told before (a confirm after its timeout).
    pub(super) fn tell(&mut self, outcome: Told) {
        if let Some(reply) = self.reply.take() {
            let outcome = outcome.map(|confirmed| Confirmed { latency: self.sent.elapsed(), ..confirmed });
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

    /// Makes the error about a message.
    pub(super) fn of(self, exchange: &ExchangeName, routing_key: &RoutingKey) -> PublishError {
        let error = PublishError::new(self.kind, exchange.clone(), routing_key.clone(), self.detail);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    pub(super) fn because(mut self, source: crate::Error) -> Self {
        self.source = Some(source);
        self
    }
}
