//! The properties of a message, as they stand in its content header.
//!
//! RabbitMQ looks into few of them and takes any bytes in the others, so they are kept as bytes and read where they are asked for.

use amq_protocol::frame::WriteContext;
use amq_protocol::protocol::basic::{AMQPProperties, gen_properties};
use bytes::Bytes;

use super::field::{self, Field, Table};

/// A property; the number is its place in the content header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    ContentType,
    ContentEncoding,
    Headers,
    DeliveryMode,
    Priority,
    CorrelationId,
    ReplyTo,
    Expiration,
    MessageId,
    Timestamp,
    Type,
    UserId,
    AppId,
    ClusterId,
}

/// The kind of each property, by the bits of the flags from the highest down; the letters are those of `io/layout.rs`.
pub(crate) const KINDS: &[u8; 14] = b"rrtbbrrrrqrrrr";

/// The flags of all properties.
const FLAGS: u16 = 0xFFFC;

/// The properties of a message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Properties {
    /// The flags and the fields; empty if there are none.
    encoded: Bytes,
}

/// What is changed in headers: a new value for each key, or none any more.
pub(crate) type Edit<'e> = (&'e [u8], Option<Field<'e>>);

impl Properties {
    /// Takes what a content header holds behind the size of the body; the bytes were checked. `is_plain` is whether each value stands in the form
    /// in which RabbitMQ writes it.
    pub(crate) fn new(bytes: &[u8], is_plain: bool) -> Self {
        if bytes == [0, 0] {
            return Self::default();
        }
        let properties = Self { encoded: Bytes::copy_from_slice(bytes) };
        let kept = properties.raw(Property::Headers).map(|headers| field::normalize(headers, is_plain));
        match kept {
            Some(std::borrow::Cow::Owned(headers)) => properties.with(Property::Headers, Some(&headers)),
            _ if properties.flags() & !FLAGS != 0 => {
                properties.with(Property::Headers, properties.raw(Property::Headers))
            }
            _ => properties,
        }
    }

    /// Returns the bytes as they go into a content header.
    pub(crate) fn encoded(&self) -> &[u8] {
        if self.encoded.is_empty() { &[0, 0] } else { &self.encoded }
    }

    fn flags(&self) -> u16 {
        self.encoded.first_chunk().map_or(0, |flags| u16::from_be_bytes(*flags))
    }

    /// Returns a property's bytes, without a length.
    pub(crate) fn raw(&self, property: Property) -> Option<&[u8]> {
        let wanted = property as usize;
        if self.flags() & bit(wanted) == 0 {
            return None;
        }
        self.fields().find(|(index, _)| *index == wanted).map(|(_, bytes)| bytes)
    }

    /// Returns the properties that are there, each by its number and without a length.
    fn fields(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let flags = self.flags();
        let mut rest = self.encoded.get(2..).unwrap_or_default();
        (0..KINDS.len()).filter(move |index| flags & bit(*index) != 0).map_while(move |index| {
            let (bytes, next) = match KINDS[index] {
                b'b' => rest.split_at_checked(1)?,
                b'q' => rest.split_at_checked(8)?,
                b't' => {
                    let (size, rest) = rest.split_first_chunk()?;
                    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*size)).ok()?)?
                }
                _ => {
                    let (size, rest) = rest.split_first()?;
                    rest.split_at_checked((*size).into())?
                }
            };
            rest = next;
            Some((index, bytes))
        })
    }

    /// Returns a property as a single byte.
    pub(crate) fn octet(&self, property: Property) -> Option<u8> {
        self.raw(property)?.first().copied()
    }

    /// Returns the timestamp, in seconds.
    pub(crate) fn timestamp(&self) -> Option<u64> {
        Some(u64::from_be_bytes(self.raw(Property::Timestamp)?.try_into().ok()?))
    }

    /// Returns the headers; those of a message without any are empty.
    pub(crate) fn headers(&self) -> Table<'_> {
        Table::new(self.raw(Property::Headers).unwrap_or_default())
    }

    /// Returns the properties with one of them set or taken away; its bytes come without a length.
    #[must_use]
    pub(crate) fn with(&self, property: Property, value: Option<&[u8]>) -> Self {
        let changed = property as usize;
        let mut encoded = Vec::with_capacity(self.encoded.len() + value.map_or(0, <[u8]>::len) + 6);
        encoded.extend_from_slice(&[0, 0]);
        let mut flags = 0;
        let mut add = |index: usize, bytes: &[u8]| {
            flags |= bit(index);
            match KINDS[index] {
                b'r' => {
                    encoded.push(u8::try_from(bytes.len()).expect("a short string has at most 255 bytes"));
                }
                b't' => encoded.extend_from_slice(&field::size(bytes.len())),
                _ => {}
            }
            encoded.extend_from_slice(bytes);
        };
        let mut value = value;
        for (index, bytes) in self.fields() {
            if index >= changed
                && let Some(value) = value.take()
            {
                add(changed, value);
            }
            if index != changed {
                add(index, bytes);
            }
        }
        if let Some(value) = value {
            add(changed, value);
        }
        encoded[..2].copy_from_slice(&u16::to_be_bytes(flags));
        Self { encoded: encoded.into() }
    }

    /// Returns the properties with other headers. They come out sorted, as RabbitMQ leaves them when it adds one: `rabbit_misc.erl`,
    /// `set_table_value`.
    #[must_use]
    pub(crate) fn with_headers(&self, edits: &[Edit<'_>]) -> Self {
        let is_edited = |key: &[u8]| edits.iter().any(|(edited, _)| *edited == key);
        let mut entries: Vec<_> = self.headers().filter(|(key, _)| !is_edited(key)).collect();
        entries.extend(edits.iter().filter_map(|(key, value)| Some((*key, (*value)?))));
        entries.sort_by_key(|(key, _)| *key);
        let mut headers = Vec::new();
        for (key, value) in entries {
            field::write_entry(&mut headers, key, value);
        }
        self.with(Property::Headers, Some(&headers))
    }
}

impl From<&AMQPProperties> for Properties {
    fn from(properties: &AMQPProperties) -> Self {
        let context = WriteContext::from(Vec::new());
        let written = gen_properties(properties)(context).expect("a vector takes any bytes");
        Self::new(&written.write, true)
    }
}

fn bit(index: usize) -> u16 {
    1 << (15 - index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Properties {
        // Headers, a correlation id and a timestamp.
        Properties::new(b"\x24\x40\0\0\0\x06\x01bV\x01aV\x02\xff\xfe\0\0\0\0\0\0\0\x07", true)
    }

    #[test]
    fn properties_are_found_where_they_stand() {
        let properties = some();
        assert_eq!(properties.raw(Property::CorrelationId), Some(&b"\xff\xfe"[..]));
        assert_eq!(properties.timestamp(), Some(7));
        assert_eq!(properties.raw(Property::MessageId), None);
        assert_eq!(properties.raw(Property::Headers), Some(&b"\x01aV\x01bV"[..]), "sorted");
        assert_eq!(Properties::default().encoded(), [0, 0]);
    }

    #[test]
    fn one_is_changed_and_the_others_stay() {
        let properties = some().with(Property::Expiration, Some(b"60"));
        assert_eq!(properties.raw(Property::Expiration), Some(&b"60"[..]));
        let properties =
            properties.with(Property::CorrelationId, None).with(Property::ClusterId, Some(b"\xe9"));
        assert_eq!(properties.encoded(), b"\x21\x44\0\0\0\x06\x01aV\x01bV\x0260\0\0\0\0\0\0\0\x07\x01\xe9");
    }

    #[test]
    fn headers_are_set_and_taken_away() {
        let value = Field { kind: b't', bytes: &[1] };
        let edits: [Edit<'_>; 2] = [(b"aa", Some(value)), (b"b", None)];
        let properties = some().with_headers(&edits);
        assert_eq!(properties.raw(Property::Headers), Some(&b"\x01aV\x02aat\x01"[..]));
        assert_eq!(Properties::default().with_headers(&[]).encoded(), [0x20, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn flags_of_no_property_are_dropped() {
        assert_eq!(Properties::new(b"\0\x02", true).encoded(), [0, 0]);
    }
}
