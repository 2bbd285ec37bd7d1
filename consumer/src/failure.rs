//! A failure is a decision: try again, or give up.

use std::{error::Error, fmt, time::Duration};

use garenne_shared::Retry;

type BoxError = Box<dyn Error + Send + Sync>;

/// Why a message was not handled, and what is to become of it.
///
/// There is no blanket conversion from errors: each is classified with [`OrFailure`], or by an `impl From<MyError> for Failure`.
#[derive(Debug)]
pub struct Failure {
    decision: Decision,
    kind: FailureKind,
    error: BoxError,
    policy: Option<Box<Retry>>,
}

/// What is to become of a message that was not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// Deliver it again, after the consumer's retry delay, unless this was the last attempt.
    Retry,
    /// Deliver it again, after this time, unless this was the last attempt.
    RetryAfter(Duration),
    /// Give up: it goes to the dead-letter queue.
    DeadLetter,
}

/// What kind of failure it was; it travels in the header [`header::ERROR_KIND`](garenne_shared::header::ERROR_KIND).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// The handler returned it.
    Handler,
    /// The handler panicked.
    Panic,
    /// The handler took longer than allowed.
    Timeout,
    /// The body does not decode to the message type.
    Undecodable,
    /// No codec is registered for the content type.
    UnknownContentType,
    /// No handler is registered for the message type.
    UnknownType,
    /// What the handler deferred, or its reply, was not confirmed.
    Publish,
}

/// Classifies any error in one word.
pub trait OrFailure<T> {
    /// Makes an error a [`Failure::retry`].
    ///
    /// # Errors
    ///
    /// Fails if `self` is an error.
    fn or_retry(self) -> Result<T, Failure>;

    /// Makes an error a [`Failure::dead_letter`].
    ///
    /// # Errors
    ///
    /// Fails if `self` is an error.
    fn or_dead_letter(self) -> Result<T, Failure>;
}

// === impl Failure ===

impl Failure {
    /// Asks for another attempt, after the delay of the queue's retry policy, or of the consumer's.
    pub fn retry(error: impl Into<BoxError>) -> Self {
        Self::new(Decision::Retry, error)
    }

    /// Asks for another attempt after `delay`.
    ///
    /// A queue with retry tiers (`retry_after_max` in its topology) keeps the message in them, for as long as the delay is, to a second. For
    /// any other the consumer holds the
    /// delivery meanwhile; it takes a place of the prefetch, but none of the concurrency. A longer delay than
    /// [`HOLD_MAX`](crate::HOLD_MAX) is cut to it then, and a warning says so once; at shutdown the wait ends at once. After the last
    /// attempt the message goes to the dead-letter queue instead.
    pub fn retry_after(delay: Duration, error: impl Into<BoxError>) -> Self {
        Self::new(Decision::RetryAfter(delay), error)
    }

    /// Gives up: no attempt will succeed.
    pub fn dead_letter(error: impl Into<BoxError>) -> Self {
        Self::new(Decision::DeadLetter, error)
    }

    /// Asks for further attempts by a policy of its own, instead of the policy of the handler or the queue: for one class of errors.
    ///
    /// It decides from the number of attempts that failed so far, whatever they failed with. The delivery limit of the queue still ends it.
    /// A delay waits in the retry tiers that the policy of the queue has, or, where it has none, in the consumer, for
    /// [`HOLD_MAX`](crate::HOLD_MAX) at most.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use garenne_consumer::Failure;
    /// use garenne_shared::Retry;
    ///
    /// enum BankError { Busy, NoSuchAccount }
    ///
    /// impl From<BankError> for Failure {
    ///     fn from(error: BankError) -> Self {
    ///         match error {
    ///             BankError::Busy => Failure::retry("the bank is busy").policy(Retry::fixed(Duration::from_secs(5)).attempts(10)),
    ///             BankError::NoSuchAccount => Failure::dead_letter("there is no such account"),
    ///         }
    ///     }
    /// }
    /// # let _: Failure = BankError::Busy.into();
    /// # let _: Failure = BankError::NoSuchAccount.into();
    /// ```
    #[must_use]
    pub fn policy(mut self, policy: Retry) -> Self {
        self.policy = Some(Box::new(policy));
        self
    }

    /// Returns what is to become of the message.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns what kind of failure it was.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the error behind it.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.error
    }

    pub(crate) fn own_policy(&self) -> Option<&Retry> {
        self.policy.as_deref()
    }

    fn new(decision: Decision, error: impl Into<BoxError>) -> Self {
        Self { decision, kind: FailureKind::Handler, error: error.into(), policy: None }
    }

    pub(crate) const fn of_kind(mut self, kind: FailureKind) -> Self {
        self.kind = kind;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

// === impl FailureKind ===

impl FailureKind {
    /// Returns the kind as it stands in headers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Handler => "handler",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Undecodable => "undecodable",
            Self::UnknownContentType => "unknown-content-type",
            Self::UnknownType => "unknown-type",
            Self::Publish => "publish",
        }
    }

    /// Reads what [`as_str`](Self::as_str) wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const ALL: [FailureKind; 7] = [
            FailureKind::Handler,
            FailureKind::Panic,
            FailureKind::Timeout,
            FailureKind::Undecodable,
            FailureKind::UnknownContentType,
            FailureKind::UnknownType,
            FailureKind::Publish,
        ];
        ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

// === impl OrFailure ===

impl<T, E: Into<BoxError>> OrFailure<T> for Result<T, E> {
    fn or_retry(self) -> Result<T, Failure> {
        self.map_err(Failure::retry)
    }

    fn or_dead_letter(self) -> Result<T, Failure> {
        self.map_err(Failure::dead_letter)
    }
}
