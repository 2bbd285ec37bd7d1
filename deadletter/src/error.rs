//! Why dead letters cannot be read.

use garenne_shared::QueueName;
use garenne_transport::Error;
use thiserror::Error as ThisError;

/// Why dead letters cannot be read, or no more of them.
#[derive(Debug, ThisError)]
#[error("{message}")]
pub struct DeadLetterError {
    kind: DeadLetterErrorKind,
    message: String,
    #[source]
    source: Option<Error>,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterErrorKind {
    /// The broker refused, or is not there: the source says more.
    Broker,
    /// The connection was lost. What was done is done; running it again goes on with the rest.
    Interrupted,
    /// The queue is a stream, from which nothing can be removed.
    Stream,
}

// === impl DeadLetterError ===

impl DeadLetterError {
    pub(crate) fn broker(queue: &QueueName, source: Error) -> Self {
        let message = format!("queue `{queue}` cannot be read");
        Self { kind: DeadLetterErrorKind::Broker, message, source: Some(source) }
    }

    pub(crate) fn interrupted(queue: &QueueName, done: u64) -> Self {
        let message = format!(
            "the connection was lost while queue `{queue}` was read ({done} messages were removed before); run it again for the rest: what was \
             published and not removed has the same message id"
        );
        Self { kind: DeadLetterErrorKind::Interrupted, message, source: None }
    }

    pub(crate) fn stream(queue: &QueueName) -> Self {
        let message = format!(
            "queue `{queue}` is a stream, which keeps its messages: they can be shown and exported, not removed"
        );
        Self { kind: DeadLetterErrorKind::Stream, message, source: None }
    }

    /// Says what was done before.
    pub(crate) fn after(mut self, removed: u64) -> Self {
        self.message = format!(
            "{} any more ({removed} messages were removed before); run it again for the rest",
            self.message
        );
        self
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn kind(&self) -> DeadLetterErrorKind {
        self.kind
    }
}
