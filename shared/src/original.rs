//! A message as its publisher wrote it, byte for byte.

use bytes::Bytes;

/// The address and the properties of a delivered message as its publisher wrote them, byte for byte.
///
/// RabbitMQ passes on what a peer wrote, whether it is text or not. [`Metadata`](crate::Metadata) shows it as text and as values that
/// this crate knows; this keeps the bytes. Whoever publishes a message with the metadata of a delivery sends every property and
/// header that was not changed just as it was.
///
/// In JSON and other formats of serde it is a map of `exchange`, `routing_key` and `properties`, each text or `{"$base64": ".."}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Original {
    exchange: Bytes,
    routing_key: Bytes,
    properties: Bytes,
}

/// The properties of a message that are short strings (AMQP 0-9-1 section 1.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TextProperty {
    /// `content_type`
    ContentType,
    /// `content_encoding`
    ContentEncoding,
    /// `correlation_id`
    CorrelationId,
    /// `reply_to`
    ReplyTo,
    /// `expiration`
    Expiration,
    /// `message_id`
    MessageId,
    /// `type`
    Type,
    /// `user_id`
    UserId,
    /// `app_id`
    AppId,
    /// `cluster_id`, which the protocol reserves
    ClusterId,
}

// === impl Original ===

impl Original {
    /// Keeps what was read from the wire: `properties` begins with the property flags (AMQP 0-9-1 section 4.2.6.1).
    #[must_use]
    pub const fn new(exchange: Bytes, routing_key: Bytes, properties: Bytes) -> Self {
        Self { exchange, routing_key, properties }
    }

    /// Returns the bytes of the exchange.
    #[must_use]
    pub const fn exchange(&self) -> &Bytes {
        &self.exchange
    }

    /// Returns the bytes of the routing key.
    #[must_use]
    pub const fn routing_key(&self) -> &Bytes {
        &self.routing_key
    }

    /// Returns the property flags and the properties, as the wire had them.
    #[must_use]
    pub const fn properties(&self) -> &Bytes {
        &self.properties
    }

    /// Returns the bytes of a property; `None` if the message does not have it.
    #[must_use]
    pub fn text(&self, property: TextProperty) -> Option<&[u8]> {
        let (flags, mut rest) = self.properties.split_first_chunk()?;
        let flags = u16::from_be_bytes(*flags);
        for bit in (property.bit()..=15).rev() {
            if flags & 1 << bit == 0 {
                if bit == property.bit() {
                    return None;
                }
                continue;
            }
            let (skipped, len) = match bit {
                HEADERS => {
                    let (len, _) = rest.split_first_chunk()?;
                    (4, u32::from_be_bytes(*len) as usize)
                }
                DELIVERY_MODE | PRIORITY => (0, 1),
                TIMESTAMP => (0, 8),
                _ => (1, usize::from(*rest.first()?)),
            };
            let (value, after) = rest.get(skipped..)?.split_at_checked(len)?;
            if bit == property.bit() {
                return Some(value);
            }
            rest = after;
        }
        None
    }
}

/// The bits of the property flags whose properties are no short strings.
const HEADERS: u32 = 13;
const DELIVERY_MODE: u32 = 12;
const PRIORITY: u32 = 11;
const TIMESTAMP: u32 = 6;

// === impl TextProperty ===

impl TextProperty {
    /// The bit of the property flags.
    const fn bit(self) -> u32 {
        match self {
            Self::ContentType => 15,
            Self::ContentEncoding => 14,
            Self::CorrelationId => 10,
            Self::ReplyTo => 9,
            Self::Expiration => 8,
            Self::MessageId => 7,
            Self::Type => 5,
            Self::UserId => 4,
            Self::AppId => 3,
            Self::ClusterId => 2,
        }
    }
}

/// Shows bytes as text. What is UTF-8 stays as it is; else each byte that is not becomes `\xNN`, and a backslash is doubled.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let mut escaped = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        escaped.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            let _ = write!(escaped, "\\x{byte:02x}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_property_is_found_behind_the_others() {
        // All flags; a table of four bytes, the others as long as their position.
        let mut properties = vec![0xff, 0xfc];
        properties.extend_from_slice(
            b"\x01a\x01b\0\0\0\x02hh\x02\x05\x01c\x01d\x01e\x01\xff\0\0\0\0\0\0\0\x09\x01g\x01h\x01i\x01j",
        );
        let original = Original::new(Bytes::new(), Bytes::new(), properties.into());
        let all = [
            (TextProperty::ContentType, "a"),
            (TextProperty::ContentEncoding, "b"),
            (TextProperty::CorrelationId, "c"),
            (TextProperty::ReplyTo, "d"),
            (TextProperty::Expiration, "e"),
            (TextProperty::MessageId, "\\xff"),
            (TextProperty::Type, "g"),
            (TextProperty::UserId, "h"),
            (TextProperty::AppId, "i"),
            (TextProperty::ClusterId, "j"),
        ];
        for (property, text) in all {
            assert_eq!(original.text(property).map(escape).as_deref(), Some(text), "{property:?}");
        }
    }

    #[test]
    fn what_is_absent_or_cut_is_none() {
        assert_eq!(Original::default().text(TextProperty::MessageId), None);
        let original =
            |bytes: &'static [u8]| Original::new(Bytes::new(), Bytes::new(), Bytes::from_static(bytes));
        assert_eq!(original(b"\0\0").text(TextProperty::ContentType), None);
        assert_eq!(original(b"\x80\0\x05ab").text(TextProperty::ContentType), None);
        assert_eq!(original(b"\x20\0\xff\xff\xff\xff").text(TextProperty::AppId), None);
    }

    #[test]
    fn only_what_is_no_text_is_escaped() {
        assert_eq!(escape("caf\u{e9} \\x".as_bytes()), "caf\u{e9} \\x");
        assert_eq!(escape(b"caf\xe9 \\x"), "caf\\xe9 \\\\x");
    }
}
