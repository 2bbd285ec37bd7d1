//! Why a publish was not confirmed.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

use garenne_shared::{ExchangeName, RoutingKey};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a publish was not confirmed.
pub struct PublishError {
    kind: PublishErrorKind,
    exchange: ExchangeName,
    routing_key: RoutingKey,
    detail: String,
    attempts: u32,
    unknown: Option<UnknownCause>,
    source: Option<BoxError>,
}

/// The cause of a [`PublishError`], for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishErrorKind {
    /// The broker returned the message: no queue took it.
    Unroutable,
    /// The exchange does not exist: no queue took the message.
    NoExchange,
    /// The broker refused the message (`basic.nack`): it is not stored, or not in every queue.
    Nacked,
    /// The broker refused the message and closed the channel: a permission is missing, or a property is wrong. It is not stored.
    ///
    /// Other publishes under way on the channel are [`Unknown`](Self::Unknown); the publisher's retry policy sends them again.
    Refused,
    /// No confirm arrived: the message may or may not be stored.
    Unknown,
    /// The message could not be sent in time: no channel was open, the window was full, or an earlier publish of the same id had no
    /// outcome.
    NotSent,
    /// The broker blocks publishers; the message was not sent.
    Blocked,
    /// The body or the headers are larger than the broker takes; the message was not sent.
    TooLarge,
    /// The message could not be encoded or addressed; it was not sent.
    Encode,
    /// The client was closed; the message was not sent.
    Closed,
}

/// Why it is not known whether a message is stored, for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownCause {
    /// No confirm came within `publish.confirm_timeout`.
    ConfirmTimeout,
    /// The connection was lost.
    ConnectionLost,
    /// The broker closed the channel over another publish on it.
    ChannelClosed,
    /// The client gave the channel up, because its confirms stayed away or a return made no sense.
    ChannelGivenUp,
    /// The client was closed.
    ClientClosed,
}

// === impl PublishError ===

impl PublishError {
    /// Makes an error for a message; `detail` states the rule, the value found and the remedy.
    #[must_use]
    pub fn new(
        kind: PublishErrorKind,
        exchange: ExchangeName,
        routing_key: RoutingKey,
        detail: impl Into<String>,
    ) -> Self {
        Self { kind, exchange, routing_key, detail: detail.into(), attempts: 1, unknown: None, source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says why it is not known whether the message is stored.
    #[must_use]
    pub const fn with_unknown_cause(mut self, cause: Option<UnknownCause>) -> Self {
        self.unknown = cause;
        self
    }

    /// Says that no further attempt is made: `kind` is what is true of all `attempts` together, and the message says how long
    /// they took beside why the last one failed.
    #[must_use]
    pub fn given_up(mut self, kind: PublishErrorKind, attempts: u32, elapsed: Duration) -> Self {
        self.kind = kind;
        self.attempts = attempts;
        let _ = write!(self.detail, " (given up after {attempts} attempts in {elapsed:.1?})");
        self
    }

    /// Returns how many attempts were made, retries included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns the cause, for matching.
    #[must_use]
    pub const fn kind(&self) -> PublishErrorKind {
        self.kind
    }

    /// Returns why it is not known whether the message is stored; `None` unless the kind is [`Unknown`](PublishErrorKind::Unknown).
    ///
    /// After several attempts it is that of the last one without a confirm.
    #[must_use]
    pub fn unknown_cause(&self) -> Option<UnknownCause> {
        self.unknown.filter(|_| self.kind == PublishErrorKind::Unknown)
    }

    /// Returns the exchange the message was meant for.
    #[must_use]
    pub const fn exchange(&self) -> &ExchangeName {
        &self.exchange
    }

    /// Returns the routing key of the message.
    #[must_use]
    pub const fn routing_key(&self) -> &RoutingKey {
        &self.routing_key
    }

    /// Returns `true` if the same publish may succeed later. After `Unknown` that can duplicate the message.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            PublishErrorKind::Nacked
                | PublishErrorKind::Unknown
                | PublishErrorKind::NotSent
                | PublishErrorKind::Blocked
        )
    }

    /// Returns `true` if the message may be stored all the same: a retry can duplicate it.
    ///
    /// `false` means that it is certainly not stored, by no attempt of this publish. A refused message is not stored in the queue that
    /// refused it, and may be in others.
    #[must_use]
    pub const fn may_be_stored(&self) -> bool {
        matches!(self.kind, PublishErrorKind::Nacked | PublishErrorKind::Unknown)
    }

    /// Returns `true` if no queue took the message: it was returned, or its exchange does not exist.
    #[must_use]
    pub const fn is_unroutable(&self) -> bool {
        matches!(self.kind, PublishErrorKind::Unroutable | PublishErrorKind::NoExchange)
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exchange, routing_key, detail, .. } = self;
        if *exchange == ExchangeName::DEFAULT {
            return write!(f, "publish to the default exchange with key `{routing_key}`: {detail}");
        }
        write!(f, "publish to exchange `{exchange}` with key `{routing_key}`: {detail}")
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        garenne_shared::Chain(self).fmt(f)
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
