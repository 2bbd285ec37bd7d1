//! How a header value stands in JSON and other formats of serde.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor},
    ser::SerializeMap as _,
};

use super::{HeaderValue, Headers};

const BASE64: &str = "$base64";
const TIMESTAMP: &str = "$timestamp";
const FLOAT: &str = "$float";
/// Marks a table that would otherwise be read as one of the others.
const TABLE: &str = "$table";
const TAGS: [&str; 4] = [BASE64, TIMESTAMP, FLOAT, TABLE];

/// Bytes that stand as text where they are UTF-8, and as `{"$base64": ".."}` where they are not.
pub(crate) struct Opaque<T>(pub(crate) T);

// === impl Serialize ===

impl Serialize for HeaderValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            // Rust writes `NaN`, `inf` and `-inf`.
            Self::Float(value) => tagged(serializer, FLOAT, &value.to_string()),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => tagged(serializer, BASE64, &STANDARD.encode(value)),
            Self::Timestamp(value) => match i64::try_from(*value) {
                Ok(seconds) => tagged(serializer, TIMESTAMP, &seconds),
                // Many readers of JSON have no larger integers, this one among them.
                Err(_) => tagged(serializer, TIMESTAMP, &value.to_string()),
            },
            Self::List(values) => values.serialize(serializer),
            Self::Table(headers) if is_ambiguous(headers) => tagged(serializer, TABLE, headers),
            Self::Table(headers) => headers.serialize(serializer),
        }
    }
}

/// Tells whether a table would be read as something that is tagged.
fn is_ambiguous(Headers(table): &Headers) -> bool {
    table.len() == 1 && table.first_key_value().is_some_and(|(name, _)| TAGS.contains(&name.as_str()))
}

impl<T: AsRef<[u8]>> Serialize for Opaque<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.0.as_ref();
        match std::str::from_utf8(bytes) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => tagged(serializer, BASE64, &STANDARD.encode(bytes)),
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
        Literal::deserialize(deserializer).map(|Literal(value)| read_tags(value))
    }
}

/// A value as it is written: tags are names of a table as any other.
struct Literal(HeaderValue);

impl<'de> Deserialize<'de> for Literal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values).map(Self)
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
        Literal::deserialize(deserializer).map(|Literal(value)| value)
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
        while let Some(Literal(value)) = values.next_element()? {
            list.push(value);
        }
        Ok(HeaderValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<HeaderValue, A::Error> {
        let mut table = BTreeMap::new();
        while let Some((name, Literal(value))) = entries.next_entry::<String, _>()? {
            table.insert(name, value);
        }
        Ok(HeaderValue::Table(Headers(table)))
    }
}

/// Reads the tags of a value from the outside in, because what a tag marks as a table is none of the others.
fn read_tags(value: HeaderValue) -> HeaderValue {
    match value {
        HeaderValue::List(values) => HeaderValue::List(values.into_iter().map(read_tags).collect()),
        HeaderValue::Table(Headers(table)) => match read_tag(table) {
            Ok(value) => value,
            Err(table) => {
                HeaderValue::Table(table.into_iter().map(|(name, value)| (name, read_tags(value))).collect())
            }
        },
        value => value,
    }
}

/// Reads a table of one entry that stands for something else, or returns the table that it is.
fn read_tag(mut table: BTreeMap<String, HeaderValue>) -> Result<HeaderValue, BTreeMap<String, HeaderValue>> {
    let Some((name, value)) = table.first_key_value().filter(|_| table.len() == 1) else { return Err(table) };
    let tagged = match (name.as_str(), value) {
        (BASE64, HeaderValue::Text(text)) => {
            STANDARD.decode(text).ok().map(|bytes| HeaderValue::Bytes(bytes.into()))
        }
        (TIMESTAMP, HeaderValue::Int(seconds)) => u64::try_from(*seconds).ok().map(HeaderValue::Timestamp),
        (TIMESTAMP, HeaderValue::Text(seconds)) => seconds.parse().ok().map(HeaderValue::Timestamp),
        (FLOAT, HeaderValue::Text(text)) => match text.as_str() {
            "NaN" => Some(HeaderValue::Float(f64::NAN)),
            "inf" => Some(HeaderValue::Float(f64::INFINITY)),
            "-inf" => Some(HeaderValue::Float(f64::NEG_INFINITY)),
            _ => None,
        },
        (TABLE, HeaderValue::Table(_)) => match table.remove(TABLE) {
            Some(HeaderValue::Table(Headers(inner))) => return Err(inner),
            _ => None,
        },
        _ => None,
    };
    tagged.ok_or(table)
}

impl<'de> Deserialize<'de> for Opaque<Bytes> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OpaqueValue).map(Self)
    }
}

struct OpaqueValue;

impl<'de> Visitor<'de> for OpaqueValue {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or `{\"$base64\": \"..\"}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(text.as_bytes()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Bytes, E> {
        Ok(text.into())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
        Ok(bytes.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Bytes, A::Error> {
        match (entries.next_entry::<String, HeaderValue>()?, entries.next_key::<String>()?) {
            (Some((tag, HeaderValue::Text(text))), None) if tag == BASE64 => STANDARD
                .decode(&text)
                .map(Bytes::from)
                .map_err(|error| A::Error::custom(format_args!("`{BASE64}` is not Base64: {error}"))),
            _ => Err(A::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}
