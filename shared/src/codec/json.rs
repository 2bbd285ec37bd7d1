//! JSON (RFC 8259), the default.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Deserializer, de::SliceRead};

use super::{BoxError, Codec, erased_serde};

/// JSON: `application/json`. [`Codecs`](super::Codecs) knows it; a codec of your own may build on it.
#[derive(Debug, Clone, Copy)]
pub struct Json;

pub(super) const CONTENT_TYPE: &str = "application/json";

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, BoxError> {
    Ok(serde_json::to_vec(value)?.into())
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, BoxError> {
    read(body, |deserializer| T::deserialize(deserializer))
}

/// Reads the whole body.
fn read<T, E: Into<BoxError>>(
    body: &[u8],
    visit: impl FnOnce(&mut Deserializer<SliceRead<'_>>) -> Result<T, E>,
) -> Result<T, BoxError> {
    let mut deserializer = Deserializer::from_slice(body);
    let value = visit(&mut deserializer).map_err(Into::into)?;
    deserializer.end()?;
    Ok(value)
}

// === impl Codec ===

impl Codec for Json {
    fn content_type(&self) -> &'static str {
        CONTENT_TYPE
    }

    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Bytes, BoxError> {
        encode(value)
    }

    fn decode(
        &self,
        body: &[u8],
        visit: &mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>,
    ) -> Result<(), BoxError> {
        read(body, |deserializer| visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(deserializer)))
    }
}
