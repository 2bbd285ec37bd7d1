//! How a header value stands in JSON and other formats of serde.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
    ser::SerializeMap as _,
};

use super::{HeaderValue, Headers};

const BASE64: &str = "$base64";
const TIMESTAMP: &str = "$timestamp";

// === impl Serialize ===

impl Serialize for HeaderValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => tagged(serializer, BASE64, &STANDARD.encode(value)),
            Self::Timestamp(value) => tagged(serializer, TIMESTAMP, value),
            Self::List(values) => values.serialize(serializer),
            Self::Table(headers) => headers.serialize(serializer),
        }
    }
}

fn tagged<S: Serializer>(
    serializer: S,
    tag: &'static str,
    value: &impl Serialize,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(tag, value)?;
    map.end()
}

// === impl Deserialize ===

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = HeaderValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header value")
    }

    fn visit_unit<E: Error>(self) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Null)
    }

    fn visit_none<E: Error>(self) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<HeaderValue, D::Error> {
        HeaderValue::deserialize(deserializer)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<HeaderValue, E> {
        i64::try_from(value).map(HeaderValue::Int).map_err(|_| {
            E::custom(format_args!("a header integer has 64 bits and a sign, but found {value}"))
        })
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Text(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Text(value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<HeaderValue, E> {
        Ok(HeaderValue::Bytes(Bytes::copy_from_slice(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<HeaderValue, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(HeaderValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<HeaderValue, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((name, value)) = entries.next_entry::<String, HeaderValue>()? {
            table.insert(name, value);
        }
        Ok(untagged(&table).unwrap_or(HeaderValue::Table(Headers(table))))
    }
}

/// Reads a table of one entry that stands for bytes or for a timestamp.
fn untagged(table: &BTreeMap<String, HeaderValue>) -> Option<HeaderValue> {
    let (name, value) = table.first_key_value().filter(|_| table.len() == 1)?;
    match (name.as_str(), value) {
        (BASE64, HeaderValue::Text(text)) => Some(HeaderValue::Bytes(STANDARD.decode(text).ok()?.into())),
        (TIMESTAMP, HeaderValue::Int(seconds)) => Some(HeaderValue::Timestamp(u64::try_from(*seconds).ok()?)),
        _ => None,
    }
}
