//! To the wire: what we cannot send is refused; what a peer wrote and nobody changed goes out as it came.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::BufMut as _;
use garenne_shared::{DeliveryMode, HeaderValue, Headers, MessageType, Metadata, Original, TextProperty};

use super::{
    MAX_DEPTH, PERSISTENT, TRANSIENT,
    decode::{self, Header},
    flag,
};
use crate::convert::{ConvertError, check_short};

/// What is the same for every message of a publisher. It counts where the metadata says nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stamp<'a> {
    /// AMQP `content_type`.
    pub content_type: Option<&'a str>,
    /// AMQP `app_id`.
    pub app_id: Option<&'a str>,
}

/// Writes the property flags and the properties that carry the metadata.
pub(crate) fn encode(out: &mut Vec<u8>, metadata: &Metadata, stamp: Stamp<'_>) -> Result<(), ConvertError> {
    let at = out.len();
    out.put_u16(0);
    let mut properties = Properties { flags: 0, out };
    match &metadata.original {
        None => properties.write(metadata, stamp, &NoOriginal)?,
        Some(original) => properties.write(metadata, stamp, &WithOriginal::new(original))?,
    }
    let flags = properties.flags;
    out[at..at + 2].copy_from_slice(&flags.to_be_bytes());
    Ok(())
}

/// What is known of the bytes that a peer wrote.
trait Source {
    /// Returns the bytes of a text property if this text is what they are shown as.
    fn text(&self, property: TextProperty, shown: &str) -> Option<&[u8]>;

    /// Returns the seconds of the timestamp if this moment is what they are shown as.
    fn timestamp(&self, shown: Option<SystemTime>) -> Option<u64>;

    /// Returns the bytes of a header, name and value, if these are what they are shown as.
    fn header(&self, name: &str, value: &HeaderValue) -> Option<&[u8]>;

    fn cluster_id(&self) -> Option<&[u8]>;
}

/// The message is ours.
struct NoOriginal;

/// The message was delivered before.
struct WithOriginal<'a> {
    original: &'a Original,
    shown: Metadata,
    headers: HashMap<String, Header<'a>>,
}

struct Properties<'a> {
    flags: u16,
    out: &'a mut Vec<u8>,
}

// === impl Properties ===

impl Properties<'_> {
    /// Writes the properties in the order of their flags.
    fn write(
        &mut self,
        metadata: &Metadata,
        stamp: Stamp<'_>,
        source: &impl Source,
    ) -> Result<(), ConvertError> {
        use TextProperty as P;
        let Metadata { message_type, expiration, .. } = metadata;
        let expiration = expiration.map(|expiration| expiration_text(expiration.as_millis())).transpose()?;
        let content_type = metadata.content_type.as_deref().or(stamp.content_type);
        self.text(flag::CONTENT_TYPE, P::ContentType, content_type, "a content type", source)?;
        let encoding = metadata.content_encoding.as_deref();
        self.text(flag::CONTENT_ENCODING, P::ContentEncoding, encoding, "a content encoding", source)?;
        if !metadata.headers.is_empty() {
            self.flags |= flag::HEADERS;
            sized(self.out, |out| {
                metadata.headers.iter().try_for_each(|(name, value)| match source.header(name, value) {
                    Some(bytes) => {
                        out.extend_from_slice(bytes);
                        Ok(())
                    }
                    None => header(out, name, value, MAX_DEPTH),
                })
            })?;
        }
        self.flags |= flag::DELIVERY_MODE;
        self.out.push(match metadata.delivery_mode {
            DeliveryMode::Persistent => PERSISTENT,
            DeliveryMode::Transient => TRANSIENT,
        });
        if let Some(priority) = metadata.priority {
            self.flags |= flag::PRIORITY;
            self.out.push(priority);
        }
        let correlation_id = metadata.correlation_id.as_deref();
        self.text(flag::CORRELATION_ID, P::CorrelationId, correlation_id, "a correlation id", source)?;
        self.text(flag::REPLY_TO, P::ReplyTo, metadata.reply_to.as_deref(), "a reply-to address", source)?;
        self.text(flag::EXPIRATION, P::Expiration, expiration.as_deref(), "an expiration", source)?;
        self.text(flag::MESSAGE_ID, P::MessageId, metadata.message_id.as_deref(), "a message id", source)?;
        if let Some(seconds) = source.timestamp(metadata.timestamp) {
            self.timestamp(seconds);
        } else if let Some(timestamp) = metadata.timestamp {
            let since_epoch = timestamp.duration_since(UNIX_EPOCH);
            self.timestamp(
                since_epoch.map_err(|_| ConvertError::BeforeEpoch { what: "a timestamp" })?.as_secs(),
            );
        }
        self.text(
            flag::TYPE,
            P::Type,
            message_type.as_ref().map(MessageType::as_str),
            "a message type",
            source,
        )?;
        self.text(flag::USER_ID, P::UserId, metadata.user_id.as_deref(), "a user id", source)?;
        let app_id = metadata.app_id.as_deref().or(stamp.app_id);
        self.text(flag::APP_ID, P::AppId, app_id, "an application id", source)?;
        if let Some(cluster_id) = source.cluster_id() {
            self.flags |= flag::CLUSTER_ID;
            short(self.out, cluster_id);
        }
        Ok(())
    }

    fn text(
        &mut self,
        flag: u16,
        property: TextProperty,
        text: Option<&str>,
        what: &'static str,
        source: &impl Source,
    ) -> Result<(), ConvertError> {
        let Some(text) = text else { return Ok(()) };
        self.flags |= flag;
        match source.text(property, text) {
            Some(bytes) => short(self.out, bytes),
            None => short(self.out, check_short(text, what)?.as_bytes()),
        }
        Ok(())
    }

    fn timestamp(&mut self, seconds: u64) {
        self.flags |= flag::TIMESTAMP;
        self.out.put_u64(seconds);
    }
}

// === impl NoOriginal ===

impl Source for NoOriginal {
    fn text(&self, _: TextProperty, _: &str) -> Option<&[u8]> {
        None
    }

    fn timestamp(&self, _: Option<SystemTime>) -> Option<u64> {
        None
    }

    fn header(&self, _: &str, _: &HeaderValue) -> Option<&[u8]> {
        None
    }

    fn cluster_id(&self) -> Option<&[u8]> {
        None
    }
}

// === impl WithOriginal ===

impl<'a> WithOriginal<'a> {
    fn new(original: &'a Original) -> Self {
        let shown = decode::metadata(original.properties());
        let mut headers = HashMap::new();
        for header in decode::headers(original.properties()) {
            headers.insert(decode::shown(header.name, |name| headers.contains_key(name)), header);
        }
        Self { original, shown, headers }
    }
}

impl Source for WithOriginal<'_> {
    fn text(&self, property: TextProperty, text: &str) -> Option<&[u8]> {
        let Metadata { message_type, expiration, .. } = &self.shown;
        let expiration = expiration.map(|expiration| expiration.as_millis().to_string());
        let shown = match property {
            TextProperty::ContentType => self.shown.content_type.as_deref(),
            TextProperty::ContentEncoding => self.shown.content_encoding.as_deref(),
            TextProperty::CorrelationId => self.shown.correlation_id.as_deref(),
            TextProperty::ReplyTo => self.shown.reply_to.as_deref(),
            TextProperty::Expiration => expiration.as_deref(),
            TextProperty::MessageId => self.shown.message_id.as_deref(),
            TextProperty::Type => message_type.as_ref().map(MessageType::as_str),
            TextProperty::UserId => self.shown.user_id.as_deref(),
            TextProperty::AppId => self.shown.app_id.as_deref(),
            _ => None,
        };
        if shown == Some(text) { self.original.text(property) } else { None }
    }

    fn timestamp(&self, shown: Option<SystemTime>) -> Option<u64> {
        if shown != self.shown.timestamp {
            return None;
        }
        decode::timestamp(self.original.properties())
    }

    fn header(&self, name: &str, value: &HeaderValue) -> Option<&[u8]> {
        let header = self.headers.get(name)?;
        (header.value == *value).then_some(header.bytes)
    }

    fn cluster_id(&self) -> Option<&[u8]> {
        self.original.text(TextProperty::ClusterId)
    }
}

/// Milliseconds as text (<https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers>).
fn expiration_text(millis: u128) -> Result<String, ConvertError> {
    match u32::try_from(millis) {
        Ok(millis) => Ok(millis.to_string()),
        Err(_) => Err(ConvertError::TooLate { found: millis }),
    }
}

fn header(out: &mut Vec<u8>, name: &str, value: &HeaderValue, depth: usize) -> Result<(), ConvertError> {
    short(out, check_short(name, "a header name")?.as_bytes());
    write_value(out, value, depth)
}

fn table(out: &mut Vec<u8>, headers: &Headers, depth: usize) -> Result<(), ConvertError> {
    sized(out, |out| headers.iter().try_for_each(|(name, value)| header(out, name, value, depth)))
}

fn write_value(out: &mut Vec<u8>, value: &HeaderValue, depth: usize) -> Result<(), ConvertError> {
    let deeper = || depth.checked_sub(1).ok_or(ConvertError::TooDeep { limit: MAX_DEPTH });
    match value {
        HeaderValue::Null => out.push(b'V'),
        HeaderValue::Bool(value) => out.extend_from_slice(&[b't', u8::from(*value)]),
        HeaderValue::Int(value) => {
            out.push(b'l');
            out.put_i64(*value);
        }
        HeaderValue::Float(value) => {
            out.push(b'd');
            out.put_f64(*value);
        }
        HeaderValue::Timestamp(seconds) => {
            out.push(b'T');
            out.put_u64(*seconds);
        }
        HeaderValue::Text(text) => {
            out.push(b'S');
            return sized(out, |out| {
                out.extend_from_slice(text.as_bytes());
                Ok(())
            });
        }
        HeaderValue::Bytes(bytes) => {
            out.push(b'x');
            return sized(out, |out| {
                out.extend_from_slice(bytes);
                Ok(())
            });
        }
        HeaderValue::List(list) => {
            let depth = deeper()?;
            out.push(b'A');
            return sized(out, |out| list.iter().try_for_each(|value| write_value(out, value, depth)));
        }
        HeaderValue::Table(headers) => {
            let depth = deeper()?;
            out.push(b'F');
            return table(out, headers, depth);
        }
        // The enum may grow without this crate.
        other => return Err(ConvertError::Unsupported { found: format!("{other:?}") }),
    }
    Ok(())
}

/// Writes something behind its length in four bytes.
fn sized(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), ConvertError>,
) -> Result<(), ConvertError> {
    let at = out.len();
    out.put_u32(0);
    write(out)?;
    // More than 4 GiB of headers do not fit any frame; the check of the size says so.
    let len = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

/// Writes a short string that is known to be short.
fn short(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(u8::try_from(bytes.len()).expect("checked, or read as a short string"));
    out.extend_from_slice(bytes);
}
