//! Codecs, selected by content type.

use std::{fmt, sync::Arc};

use bytes::Bytes;
/// The traits that a [`Codec`] is written against: serde's, as objects.
pub use erased_serde;
use serde::{Serialize, de::DeserializeOwned};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Encodes and decodes bodies of one content type.
///
/// JSON and MessagePack are built in ([`Codecs::json`], [`Codecs::message_pack`]); implement this trait for others.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// The content type it stands for, such as `application/cbor`.
    fn content_type(&self) -> &'static str;

    /// Encodes a value.
    ///
    /// # Errors
    ///
    /// Fails if the format cannot represent the value.
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Bytes, BoxError>;

    /// Decodes a body: makes a deserializer for it and hands that to `visit`.
    ///
    /// # Errors
    ///
    /// Fails if the body is not of this format, or with the error of `visit`.
    fn decode(
        &self,
        body: &[u8],
        visit: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), BoxError>;
}

/// The codecs that a client knows, and the one it encodes with.
#[derive(Debug, Clone)]
pub struct Codecs {
    encode_with: Format,
    custom: Vec<Arc<dyn Codec>>,
}

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

#[derive(Debug, Clone)]
enum Format {
    Json,
    MessagePack,
    Custom(Arc<dyn Codec>),
}

// === impl Codecs ===

impl Default for Codecs {
    fn default() -> Self {
        Self::json()
    }
}

impl Codecs {
    /// Encodes JSON (`application/json`), decodes JSON and MessagePack. The default.
    #[must_use]
    pub const fn json() -> Self {
        Self { encode_with: Format::Json, custom: Vec::new() }
    }

    /// Encodes MessagePack (`application/msgpack`), decodes JSON and MessagePack.
    #[must_use]
    pub const fn message_pack() -> Self {
        Self { encode_with: Format::MessagePack, custom: Vec::new() }
    }

    /// Adds a codec for decoding; it takes precedence over a built-in one of the same content type.
    #[must_use]
    pub fn with(mut self, codec: impl Codec) -> Self {
        self.custom.insert(0, Arc::new(codec));
        self
    }

    /// Encodes with `codec` from now on, and decodes with it too.
    #[must_use]
    pub fn encoding_with(mut self, codec: impl Codec) -> Self {
        let codec: Arc<dyn Codec> = Arc::new(codec);
        self.encode_with = Format::Custom(Arc::clone(&codec));
        self.custom.insert(0, codec);
        self
    }

    /// Encodes a value; returns the body and its content type.
    ///
    /// # Errors
    ///
    /// Fails with [`CodecErrorKind::Encode`] if the format cannot represent the value.
    pub fn encode<T: Serialize>(&self, value: &T) -> Result<(Bytes, &'static str), CodecError> {
        let format = &self.encode_with;
        let body = match format {
            Format::Json => serde_json::to_vec(value).map(Bytes::from).map_err(BoxError::from),
            Format::MessagePack => rmp_serde::to_vec_named(value).map(Bytes::from).map_err(BoxError::from),
            Format::Custom(codec) => codec.encode(&value),
        };
        match body {
            Ok(body) => Ok((body, format.content_type())),
            Err(source) => Err(CodecError::new(CodecErrorKind::Encode, format.content_type(), Some(source))),
        }
    }

    /// Decodes a body of the given content type. Without one, the body is taken as JSON.
    ///
    /// Parameters of the content type (`; charset=utf-8`) are ignored, letter case too.
    ///
    /// # Errors
    ///
    /// Fails with [`CodecErrorKind::UnknownContentType`] or [`CodecErrorKind::Decode`].
    pub fn decode<T: DeserializeOwned>(
        &self,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<T, CodecError> {
        let content_type = content_type.unwrap_or(JSON);
        let Some(format) = self.format(content_type) else {
            return Err(CodecError::new(CodecErrorKind::UnknownContentType, content_type, None));
        };
        let value = match format {
            Format::Json => serde_json::from_slice(body).map_err(BoxError::from),
            Format::MessagePack => decode_message_pack(body),
            Format::Custom(codec) => decode_custom(&*codec, body),
        };
        value.map_err(|source| CodecError::new(CodecErrorKind::Decode, content_type, Some(source)))
    }

    fn format(&self, content_type: &str) -> Option<Format> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let matches = |name: &str| essence.eq_ignore_ascii_case(name);
        if let Some(codec) = self.custom.iter().find(|codec| matches(codec.content_type())) {
            return Some(Format::Custom(Arc::clone(codec)));
        }
        if matches(JSON) {
            return Some(Format::Json);
        }
        MESSAGE_PACK.iter().any(|name| matches(name)).then_some(Format::MessagePack)
    }
}

const JSON: &str = "application/json";
/// The registered name first; the others are in use by peers.
const MESSAGE_PACK: [&str; 4] =
    ["application/msgpack", "application/vnd.msgpack", "application/x-msgpack", "application/messagepack"];

impl Format {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::MessagePack => MESSAGE_PACK[0],
            Self::Custom(codec) => codec.content_type(),
        }
    }
}

/// Decodes the whole body: `rmp_serde::from_slice` takes a valid start for the message and drops the rest.
fn decode_message_pack<T: DeserializeOwned>(body: &[u8]) -> Result<T, BoxError> {
    let mut deserializer = rmp_serde::Deserializer::new(body);
    let value = T::deserialize(&mut deserializer)?;
    let rest = deserializer.get_ref().len();
    if rest == 0 { Ok(value) } else { Err(format!("{rest} bytes stand behind the message").into()) }
}

fn decode_custom<T: DeserializeOwned>(codec: &dyn Codec, body: &[u8]) -> Result<T, BoxError> {
    let mut value = None;
    codec.decode(body, &mut |deserializer| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| "the codec returned without visiting the body".into())
}

// === impl CodecError ===

impl CodecError {
    fn new(kind: CodecErrorKind, content_type: &str, source: Option<BoxError>) -> Self {
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

#[cfg(test)]
mod tests;
