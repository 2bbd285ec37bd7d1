//! MessagePack (<https://msgpack.org>): smaller than JSON. Structs are maps by name, so that fields may be added.

use bytes::Bytes;
use rmp_serde::{Deserializer, decode::ReadReader};
use serde::{Serialize, de::DeserializeOwned};

use super::{BoxError, Codec, erased_serde};

/// MessagePack: `application/msgpack`. [`Codecs`](super::Codecs) knows it; a codec of your own may build on it.
#[derive(Debug, Clone, Copy)]
pub struct MessagePack;

/// The registered name.
const CONTENT_TYPE: &str = "application/msgpack";

/// What peers write as well.
const ALIASES: &[&str] = &["application/vnd.msgpack", "application/x-msgpack", "application/messagepack"];

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Bytes, BoxError> {
    Ok(rmp_serde::to_vec_named(value)?.into())
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, BoxError> {
    read(body, |deserializer| T::deserialize(deserializer))
}

/// Reads the whole body: `rmp_serde::from_slice` takes a valid start for the message and drops the rest.
fn read<T, E: Into<BoxError>>(
    body: &[u8],
    visit: impl FnOnce(&mut Deserializer<ReadReader<&[u8]>>) -> Result<T, E>,
) -> Result<T, BoxError> {
    let mut deserializer = Deserializer::new(body);
    let value = visit(&mut deserializer).map_err(Into::into)?;
    let rest = deserializer.get_ref().len();
    if rest == 0 { Ok(value) } else { Err(format!("{rest} bytes stand behind the message").into()) }
}

// === impl Codec ===

impl Codec for MessagePack {
    fn content_type(&self) -> &'static str {
        CONTENT_TYPE
    }

    fn aliases(&self) -> &'static [&'static str] {
        ALIASES
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
