//! Codecs, selected by content type. Each is one file that implements [`Codec`].

mod error;
mod json;
mod message_pack;

use std::{fmt, sync::Arc};

use bytes::Bytes;
/// The traits that a [`Codec`] is written against: serde's, as objects.
pub use erased_serde;
use serde::{Serialize, de::DeserializeOwned};

pub use self::{
    error::{CodecError, CodecErrorKind},
    json::Json,
    message_pack::MessagePack,
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Encodes and decodes bodies of one content type.
///
/// [`Json`] and [`MessagePack`] are built in; implement this trait for others, and give them to [`Codecs::encoding_with`] or
/// [`Codecs::with`].
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// The content type it stands for, such as `application/cbor`.
    fn content_type(&self) -> &'static str;

    /// Other content types that it decodes. The default is none.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

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

/// A codec. The built-in ones are called by their type: through [`Codec`], serde would call each field through a pointer.
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
            Format::Json => json::encode(value),
            Format::MessagePack => message_pack::encode(value),
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
        let content_type = content_type.unwrap_or(json::CONTENT_TYPE);
        let Some(format) = self.format(content_type) else {
            return Err(CodecError::new(CodecErrorKind::UnknownContentType, content_type, None));
        };
        let value = match format {
            Format::Json => json::decode(body),
            Format::MessagePack => message_pack::decode(body),
            Format::Custom(codec) => decode_custom(&*codec, body),
        };
        value.map_err(|source| CodecError::new(CodecErrorKind::Decode, content_type, Some(source)))
    }

    fn format(&self, content_type: &str) -> Option<Format> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is_of = |codec: &dyn Codec| {
            let names = [codec.content_type()];
            names.iter().chain(codec.aliases()).any(|name| essence.eq_ignore_ascii_case(name))
        };
        if let Some(codec) = self.custom.iter().find(|codec| is_of(&***codec)) {
            return Some(Format::Custom(Arc::clone(codec)));
        }
        [Format::Json, Format::MessagePack].into_iter().find(|format| is_of(format.codec()))
    }
}

// === impl Format ===

impl Format {
    fn codec(&self) -> &dyn Codec {
        match self {
            Self::Json => &Json,
            Self::MessagePack => &MessagePack,
            Self::Custom(codec) => &**codec,
        }
    }

    fn content_type(&self) -> &'static str {
        self.codec().content_type()
    }
}

fn decode_custom<T: DeserializeOwned>(codec: &dyn Codec, body: &[u8]) -> Result<T, BoxError> {
    let mut value = None;
    codec.decode(body, &mut |deserializer| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| "the codec returned without visiting the body".into())
}

#[cfg(test)]
mod tests;
