//! Why TLS cannot be set up.

use std::fmt;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why TLS cannot be set up as it is configured; the message names the setting and the file.
pub struct TlsError {
    message: String,
    source: Option<BoxError>,
}

// === impl TlsError ===

impl TlsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns the message and the cause, to make another error of them.
    #[must_use]
    pub fn into_parts(self) -> (String, Option<BoxError>) {
        (self.message, self.source)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        garenne_shared::Chain(self).fmt(f)
    }
}

impl std::error::Error for TlsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
