//! Why connecting, declaring or consuming failed.

use std::fmt;

use garenne_shared::ConfigError;
use garenne_tls::TlsError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why connecting, declaring or consuming failed.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<BoxError>,
}

/// The cause of an [`Error`], for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The configuration is wrong.
    Config,
    /// The topology contradicts itself; no broker was asked.
    InvalidTopology,
    /// No broker could be reached.
    Unreachable,
    /// The broker refused the user, the password or the vhost, or the user lacks a permission.
    AccessRefused,
    /// A queue or an exchange does not exist.
    NotFound,
    /// An object exists with other properties than declared.
    Mismatch,
    /// An exclusive object is in use by another connection.
    Locked,
    /// The broker lacks what the object needs, such as a plugin; the message names it.
    Unsupported,
    /// The broker did not answer within the limit.
    TimedOut,
    /// The connection was lost meanwhile.
    ConnectionLost,
    /// The client was closed.
    Closed,
    /// The connection has no channel left.
    Exhausted,
    /// A stop cut work short at its time limit: the message says how much, and the broker delivers those messages again.
    HandedBack,
    /// A stop was forced, by a second signal for instance: what ran was dropped, and the broker delivers those messages again.
    Forced,
    /// The broker refused for another reason; the message has its code and text.
    Refused,
}

// === impl Error ===

impl Error {
    /// Makes an error; `message` states the rule, the value found, the object's name and the remedy.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the cause, for matching.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns `true` if the same call may succeed later without a change of anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::ConnectionLost | ErrorKind::Exhausted
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        garenne_shared::Chain(self).fmt(f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// Lets `connect` accept a ready `Config`.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config, error.to_string())
    }
}

impl From<TlsError> for Error {
    fn from(error: TlsError) -> Self {
        let (message, source) = error.into_parts();
        Self { kind: ErrorKind::Config, message, source }
    }
}
