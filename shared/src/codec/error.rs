//! Why a body could not be encoded or decoded.

use std::fmt;

use super::BoxError;

/// Why a body could not be encoded or decoded.
pub struct CodecError {
    kind: CodecErrorKind,
    content_type: String,
    source: Option<BoxError>,
}

/// The cause of a [`CodecError`], for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecErrorKind {
    /// No codec is registered for the content type.
    UnknownContentType,
    /// The value cannot be represented in the format.
    Encode,
    /// The body does not decode to the type.
    Decode,
}

// === impl CodecError ===

impl CodecError {
    pub(super) fn new(kind: CodecErrorKind, content_type: &str, source: Option<BoxError>) -> Self {
        Self { kind, content_type: content_type.to_owned(), source }
    }

    /// Returns the cause, for matching.
    #[must_use]
    pub const fn kind(&self) -> CodecErrorKind {
        self.kind
    }

    /// Returns the content type of the body.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content_type = &self.content_type;
        match self.kind {
            CodecErrorKind::UnknownContentType => write!(
                f,
                "no codec is registered for content type `{content_type}`; add one with `Codecs::with`"
            ),
            CodecErrorKind::Encode => write!(f, "the message cannot be encoded as `{content_type}`"),
            CodecErrorKind::Decode => {
                write!(f, "the body does not decode as `{content_type}` to the message type")
            }
        }
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::Chain(self).fmt(f)
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
