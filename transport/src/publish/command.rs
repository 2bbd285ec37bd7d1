//! A message on its way to the broker: checked, encoded, with its place in the window.

use std::{
    borrow::Cow,
    hash::{BuildHasher as _, RandomState},
    time::Instant,
};

use bytes::Bytes;
use garenne_shared::{ExchangeName, Original, Outgoing, RoutingKey, TextProperty, escape};
use tokio::sync::oneshot;

use super::{Confirmed, PublishError, PublishErrorKind, UnknownCause, window::Place};
use crate::{
    content::{self, Stamp},
    convert::ConvertError,
    wire::{Content, frame, method},
};

/// Most messages have no longer method and content header, in bytes.
const USUAL_HEAD: usize = 256;

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
    /// The frames of the method and of the content header, for no channel yet.
    head: Vec<u8>,
    /// Where the frame of the content header begins.
    header_at: usize,
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
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
    pub(super) sent: Instant,
    pub(super) place: Place,
}

/// The outcome as the caller gets it.
pub(crate) type Outcome = Result<Confirmed, Failure>;

/// A failure before it is given the address of its message.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: PublishErrorKind,
    pub(super) detail: Cow<'static, str>,
    pub(super) unknown: Option<UnknownCause>,
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
    /// Encodes a message.
    pub(super) fn new(
        message: &Outgoing,
        stamp: Stamp<'_>,
        identities: &Identities,
    ) -> Result<Self, ConvertError> {
        let Outgoing { exchange, routing_key, metadata, body, mandatory } = message;
        let original = metadata.original.as_ref();
        // A key that was not text when it came goes out as it came.
        let key = original
            .map(Original::routing_key)
            .filter(|raw| escape(raw) == routing_key.as_str())
            .map_or(routing_key.as_str().as_bytes(), |raw| raw);
        let id = metadata.message_id.as_deref().unwrap_or_default();
        let raw_id = original
            .and_then(|original| original.text(TextProperty::MessageId))
            .filter(|raw| escape(raw) == id)
            .unwrap_or(id.as_bytes());
        let identity = mandatory.then(|| identities.of(raw_id, exchange.as_str().as_bytes(), key));
        let mut head = Vec::with_capacity(USUAL_HEAD);
        frame::write(&mut head, frame::METHOD, 0, |out| {
            method::write_publish(out, exchange.as_str().as_bytes(), key, *mandatory);
        });
        let header_at = head.len();
        let mut encoded = Ok(());
        frame::write_header(&mut head, 0, body.len(), |out| {
            encoded = content::encode(out, metadata, stamp);
        });
        encoded?;
        let (exchange, body) = (exchange.clone(), body.clone());
        Ok(Self { exchange, head, header_at, body, mandatory: *mandatory, identity })
    }

    /// Returns the length of the content header's frame.
    pub(super) const fn header_len(&self) -> usize {
        self.head.len() - self.header_at
    }

    /// Writes all frames of the publish.
    pub(super) fn write(&self, out: &mut Vec<u8>, channel: u16, frame_max: usize) {
        let at = out.len();
        out.reserve(self.head.len() + self.body.len() + frame::OVERHEAD);
        out.extend_from_slice(&self.head);
        frame::set_channel(&mut out[at..], channel);
        frame::set_channel(&mut out[at + self.header_at..], channel);
        frame::write_body(out, channel, frame_max, &self.body);
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
    pub(super) fn tell(&mut self, outcome: Outcome) {
        if let Some(reply) = self.reply.take() {
            let outcome = outcome.map(|confirmed| Confirmed { latency: self.sent.elapsed(), ..confirmed });
            crate::metric::published(&outcome);
            // Nobody may be listening: the message is published all the same.
            let _ = reply.send(outcome);
        }
    }

    /// Returns how many bytes of the window it takes.
    pub(super) fn bytes(&self) -> u64 {
        self.place.bytes().into()
    }

    /// Returns `true` once an outcome was told.
    pub(super) const fn is_told(&self) -> bool {
        self.reply.is_none()
    }
}

// === impl Failure ===

impl Failure {
    pub(super) fn new(kind: PublishErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), unknown: None, source: None }
    }

    /// Makes a failure that leaves open whether the message is stored.
    pub(super) fn unknown(cause: UnknownCause, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { unknown: Some(cause), ..Self::new(PublishErrorKind::Unknown, detail) }
    }

    /// Makes the error about a message.
    pub(super) fn of(self, exchange: &ExchangeName, routing_key: &RoutingKey) -> PublishError {
        let error = PublishError::new(self.kind, exchange.clone(), routing_key.clone(), self.detail)
            .with_unknown_cause(self.unknown);
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
