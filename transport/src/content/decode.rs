//! From the wire: nothing is refused, and what cannot be shown is kept as bytes.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use garenne_shared::{DeliveryMode, HeaderValue, Headers, Incoming, MessageType, Metadata, Original, escape};

use super::{MAX_DEPTH, PERSISTENT, flag};
use crate::wire::{Content, Delivered, fields::Fields};

/// The longest short string in bytes (AMQP 0-9-1 section 4.2.5.3).
const SHORT_MAX: usize = 255;

/// Makes a message of a delivery.
pub(crate) fn incoming(delivered: Delivered) -> Incoming {
    let Delivered { redelivered, content: Content { exchange, routing_key, properties, body }, .. } =
        delivered;
    let (exchange_text, routing_key_text) = (escape(&exchange), escape(&routing_key));
    let mut metadata = metadata(&properties);
    metadata.original = Some(Original::new(exchange, routing_key, properties));
    Incoming { exchange: exchange_text, routing_key: routing_key_text, redelivered, metadata, body }
}

/// Reads properties. What stands behind something malformed is left out, with a line in the log.
pub(super) fn metadata(properties: &[u8]) -> Metadata {
    let mut metadata = Metadata::new();
    // Without the property, RabbitMQ treats a message as transient.
    metadata.delivery_mode = DeliveryMode::Transient;
    if read(&mut metadata, properties).is_none() {
        tracing::debug!("a delivery has malformed properties, what stands behind them is left out");
    }
    metadata
}

/// Returns an integer header without making values of the others.
pub(crate) fn header_int(properties: &[u8], name: &str) -> Option<i64> {
    let mut fields = Fields::new(header_table(properties)?);
    while !fields.rest().is_empty() {
        if fields.short()? == name.as_bytes() {
            return match read_value(&mut fields, 0)? {
                HeaderValue::Int(value) => Some(value),
                _ => None,
            };
        }
        skip_value(&mut fields)?;
    }
    None
}

/// Returns the bytes of the table of headers.
fn header_table(properties: &[u8]) -> Option<&[u8]> {
    let mut fields = Fields::new(properties);
    let flags = fields.u16()?;
    skip_to_headers(&mut fields, flags)?;
    if flags & flag::HEADERS == 0 { None } else { fields.long() }
}

/// Skips a value by its length.
fn skip_value(fields: &mut Fields<'_>) -> Option<()> {
    match fields.u8()? {
        b't' | b'b' | b'B' => fields.array::<1>().map(|_| ()),
        b's' | b'u' => fields.array::<2>().map(|_| ()),
        b'I' | b'i' | b'f' => fields.array::<4>().map(|_| ()),
        b'D' => fields.array::<5>().map(|_| ()),
        b'l' | b'L' | b'd' | b'T' => fields.array::<8>().map(|_| ()),
        b'S' | b'x' | b'A' | b'F' => fields.long().map(|_| ()),
        b'V' => Some(()),
        _ => None,
    }
}

fn read(metadata: &mut Metadata, properties: &[u8]) -> Option<()> {
    let mut fields = Fields::new(properties);
    let flags = fields.u16()?;
    let has = |flag| flags & flag != 0;
    let text = |fields: &mut Fields<'_>, flag| match has(flag) {
        true => fields.short().map(|text| Some(escape(text))),
        false => Some(None),
    };
    metadata.content_type = text(&mut fields, flag::CONTENT_TYPE)?;
    metadata.content_encoding = text(&mut fields, flag::CONTENT_ENCODING)?;
    if has(flag::HEADERS) {
        metadata.headers = table(fields.long()?, MAX_DEPTH);
    }
    if has(flag::DELIVERY_MODE) && fields.u8()? == PERSISTENT {
        metadata.delivery_mode = DeliveryMode::Persistent;
    }
    if has(flag::PRIORITY) {
        metadata.priority = Some(fields.u8()?);
    }
    metadata.correlation_id = text(&mut fields, flag::CORRELATION_ID)?;
    metadata.reply_to = text(&mut fields, flag::REPLY_TO)?;
    if let Some(expiration) = text(&mut fields, flag::EXPIRATION)? {
        let parsed = expiration.parse().map(Duration::from_millis);
        metadata.expiration = parsed.map_err(|error| left_out("expiration", &error)).ok();
    }
    metadata.message_id = text(&mut fields, flag::MESSAGE_ID)?;
    if has(flag::TIMESTAMP) {
        let seconds = fields.u64()?;
        metadata.timestamp =
            moment(seconds).ok_or(seconds).map_err(|found| left_out("timestamp", &found)).ok();
    }
    if has(flag::TYPE) {
        metadata.message_type = message_type(fields.short()?);
    }
    metadata.user_id = text(&mut fields, flag::USER_ID)?;
    metadata.app_id = text(&mut fields, flag::APP_ID)?;
    Some(())
}

/// Reads a table as far as it can be read.
fn table(bytes: &[u8], depth: usize) -> Headers {
    let mut headers = Headers::new();
    for entry in entries(bytes, depth) {
        let name = shown(entry.name, |name| headers.get(name).is_some());
        headers.insert(name, entry.value);
    }
    headers
}

/// Returns the name that a header is shown by: its own, unless it is taken.
///
/// A table may hold a name twice, and a name that is not UTF-8 is escaped and may look like another. The first keeps it.
pub(super) fn shown(name: &[u8], is_taken: impl Fn(&str) -> bool) -> String {
    let mut shown = escape(name);
    while is_taken(&shown) {
        shown.push_str("\\again");
    }
    shown
}

/// One entry of a table.
pub(super) struct Header<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: HeaderValue,
    /// Name and value on the wire.
    pub(super) bytes: &'a [u8],
}

/// Reads the entries of a table, up to the first that is malformed.
fn entries(bytes: &[u8], depth: usize) -> impl Iterator<Item = Header<'_>> {
    let mut fields = Fields::new(bytes);
    std::iter::from_fn(move || {
        let before = fields.rest();
        if before.is_empty() {
            return None;
        }
        let mut read = || Some((fields.short()?, read_value(&mut fields, depth)?));
        let Some((name, value)) = read() else {
            tracing::debug!(
                "a delivery has a malformed header, it and what follows in its table is left out"
            );
            return None;
        };
        Some(Header { name, value, bytes: &before[..before.len() - fields.rest().len()] })
    })
    .fuse()
}

/// Returns the headers in properties, each with its bytes.
pub(super) fn headers(properties: &[u8]) -> impl Iterator<Item = Header<'_>> {
    entries(header_table(properties).unwrap_or_default(), MAX_DEPTH)
}

/// Reads a value; `None` if it is malformed or of an unknown type, whose length nobody knows.
///
/// The types are RabbitMQ's (<https://www.rabbitmq.com/amqp-0-9-1-errata#section_3>).
fn read_value(fields: &mut Fields<'_>, depth: usize) -> Option<HeaderValue> {
    Some(match fields.u8()? {
        b't' => HeaderValue::Bool(fields.u8()? != 0),
        b'b' => HeaderValue::Int(i8::from_be_bytes(fields.array()?).into()),
        b'B' => HeaderValue::Int(fields.u8()?.into()),
        b's' => HeaderValue::Int(i16::from_be_bytes(fields.array()?).into()),
        b'u' => HeaderValue::Int(fields.u16()?.into()),
        b'I' => HeaderValue::Int(i32::from_be_bytes(fields.array()?).into()),
        b'i' => HeaderValue::Int(fields.u32()?.into()),
        b'l' | b'L' => HeaderValue::Int(i64::from_be_bytes(fields.array()?)),
        b'f' => HeaderValue::Float(f32::from_be_bytes(fields.array()?).into()),
        b'd' => HeaderValue::Float(f64::from_be_bytes(fields.array()?)),
        b'D' => {
            // The value is signed (AMQP 0-9-1 section 4.2.5.5).
            let (scale, value) = (fields.u8()?, i32::from_be_bytes(fields.array()?));
            // Read as text, which rounds once: no digit is lost at any scale.
            HeaderValue::Float(format!("{value}e-{scale}").parse().unwrap_or(f64::NAN))
        }
        b'T' => HeaderValue::Timestamp(fields.u64()?),
        b'S' => text_or_bytes(fields.long()?),
        b'x' => HeaderValue::Bytes(Bytes::copy_from_slice(fields.long()?)),
        b'V' => HeaderValue::Null,
        b'A' => {
            let bytes = fields.long()?;
            if depth == 0 { too_deep(bytes) } else { HeaderValue::List(list(bytes, depth - 1)?) }
        }
        b'F' => {
            let bytes = fields.long()?;
            if depth == 0 { too_deep(bytes) } else { HeaderValue::Table(table(bytes, depth - 1)) }
        }
        _ => return None,
    })
}

fn list(bytes: &[u8], depth: usize) -> Option<Vec<HeaderValue>> {
    let mut fields = Fields::new(bytes);
    let mut values = Vec::new();
    while !fields.rest().is_empty() {
        values.push(read_value(&mut fields, depth)?);
    }
    Some(values)
}

/// What nests too deep stays as it is on the wire.
fn too_deep(bytes: &[u8]) -> HeaderValue {
    tracing::debug!(
        limit = MAX_DEPTH,
        "a delivery has headers that nest too deep, the depth is kept as bytes"
    );
    HeaderValue::Bytes(Bytes::copy_from_slice(bytes))
}

fn text_or_bytes(bytes: &[u8]) -> HeaderValue {
    match std::str::from_utf8(bytes) {
        Ok(text) => HeaderValue::Text(text.to_owned()),
        Err(_) => HeaderValue::Bytes(Bytes::copy_from_slice(bytes)),
    }
}

/// Returns a peer's message type; empty is as good as absent, and characters that a name cannot hold are escaped.
///
/// It is not left out: a message without a type goes to the only handler there is, one of an odd type must not.
fn message_type(bytes: &[u8]) -> Option<MessageType> {
    if bytes.is_empty() {
        return None;
    }
    let error = match MessageType::try_from(escape(bytes)) {
        Ok(message_type) => return Some(message_type),
        Err(error) => error,
    };
    let mut escaped: String = escape(bytes).escape_debug().collect();
    escaped.truncate(escaped.floor_char_boundary(SHORT_MAX));
    tracing::debug!(%error, escaped, "a delivery has a type that is no name, it is escaped");
    MessageType::try_from(escaped).ok()
}

/// Returns the seconds of the timestamp, whether they make sense or not.
pub(super) fn timestamp(properties: &[u8]) -> Option<u64> {
    const LEADING: u16 = flag::CORRELATION_ID | flag::REPLY_TO | flag::EXPIRATION | flag::MESSAGE_ID;
    let mut fields = Fields::new(properties);
    let flags = fields.u16()?;
    skip_to_headers(&mut fields, flags)?;
    if flags & flag::HEADERS != 0 {
        fields.long()?;
    }
    for _ in 0..(flags & (flag::DELIVERY_MODE | flag::PRIORITY)).count_ones() {
        fields.u8()?;
    }
    for _ in 0..(flags & LEADING).count_ones() {
        fields.short()?;
    }
    if flags & flag::TIMESTAMP == 0 { None } else { fields.u64() }
}

/// Skips what stands before the headers.
fn skip_to_headers(fields: &mut Fields<'_>, flags: u16) -> Option<()> {
    for _ in 0..(flags & (flag::CONTENT_TYPE | flag::CONTENT_ENCODING)).count_ones() {
        fields.short()?;
    }
    Some(())
}

pub(super) fn moment(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn left_out(property: &str, why: &dyn std::fmt::Display) {
    tracing::debug!(property, %why, "a delivery has a property that makes no sense, it is left out");
}
