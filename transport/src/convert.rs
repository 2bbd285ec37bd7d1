//! Garenne's values on AMQP's wire types and back. What cannot be carried is refused on the way out; what a peer sends is
//! never refused: it is kept as well as it can be.

mod size;
mod value;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use garenne_shared::{DeliveryMode, MessageType, Metadata};
use lapin::{
    BasicProperties,
    types::{MAX_SHORT_STRING_LENGTH, ShortString},
};

pub(crate) use self::{
    size::header_frame_len,
    value::{headers, table},
};

/// The AMQP value of `delivery_mode` for messages that are written to disk.
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;
/// The largest expiration in milliseconds that RabbitMQ takes (`MAX_EXPIRY_TIMER`).
const EXPIRATION_MAX: u32 = u32::MAX;

/// Why something cannot be put into an AMQP frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ConvertError {
    /// AMQP 0-9-1 section 4.2.5.3; lapin panics beyond it.
    #[error("{what} is at most {MAX_SHORT_STRING_LENGTH} bytes, but `{start}…` has {found}; shorten it")]
    TooLong { what: &'static str, start: String, found: usize },
    #[error("{what} is at or after 1970, but it lies before; correct it")]
    BeforeEpoch { what: &'static str },
    /// RabbitMQ closes the channel (406) beyond it.
    #[error(
        "an expiration is at most {EXPIRATION_MAX} ms (49 days), but it is {found} ms; shorten it or leave it out"
    )]
    TooLate { found: u128 },
    #[error("headers are nested at most {limit} deep; flatten them")]
    TooDeep { limit: usize },
    #[error("a header value of this kind cannot be sent: {found}")]
    Unsupported { found: String },
}

/// Returns the properties that carry the metadata.
pub(crate) fn properties(metadata: &Metadata) -> Result<BasicProperties, ConvertError> {
    let Metadata { message_id, message_type, content_type, content_encoding, .. } = metadata;
    let mut properties = BasicProperties::default().with_delivery_mode(match metadata.delivery_mode {
        DeliveryMode::Persistent => PERSISTENT,
        DeliveryMode::Transient => TRANSIENT,
    });
    if let Some(message_id) = message_id {
        properties = properties.with_message_id(bounded(message_id, "a message id")?);
    }
    if let Some(message_type) = message_type {
        properties = properties.with_type(bounded(message_type.as_str(), "a message type")?);
    }
    if let Some(content_type) = content_type {
        properties = properties.with_content_type(bounded(content_type, "a content type")?);
    }
    if let Some(content_encoding) = content_encoding {
        properties = properties.with_content_encoding(bounded(content_encoding, "a content encoding")?);
    }
    if let Some(correlation_id) = &metadata.correlation_id {
        properties = properties.with_correlation_id(bounded(correlation_id, "a correlation id")?);
    }
    if let Some(reply_to) = &metadata.reply_to {
        properties = properties.with_reply_to(bounded(reply_to, "a reply-to address")?);
    }
    if let Some(app_id) = &metadata.app_id {
        properties = properties.with_app_id(bounded(app_id, "an application id")?);
    }
    if let Some(user_id) = &metadata.user_id {
        properties = properties.with_user_id(bounded(user_id, "a user id")?);
    }
    if let Some(timestamp) = metadata.timestamp {
        let since_epoch = timestamp
            .duration_since(UNIX_EPOCH)
            .map_err(|_| ConvertError::BeforeEpoch { what: "a timestamp" })?;
        properties = properties.with_timestamp(since_epoch.as_secs());
    }
    if let Some(expiration) = metadata.expiration {
        // Milliseconds as text (https://www.rabbitmq.com/docs/ttl#per-message-ttl-in-publishers).
        let found = expiration.as_millis();
        let expiration = u32::try_from(found).map_err(|_| ConvertError::TooLate { found })?;
        properties = properties.with_expiration(bounded(&expiration.to_string(), "an expiration")?);
    }
    if let Some(priority) = metadata.priority {
        properties = properties.with_priority(priority);
    }
    if !metadata.headers.is_empty() {
        properties = properties.with_headers(table(&metadata.headers)?);
    }
    Ok(properties)
}

/// Returns the metadata that properties carry. A value that makes no sense is left out, with a line in the log.
pub(crate) fn metadata(properties: &BasicProperties) -> Metadata {
    let text = |value: &Option<ShortString>| value.as_ref().map(|value| value.as_str().to_owned());
    let mut metadata = Metadata::new();
    metadata.message_id = text(properties.message_id());
    metadata.content_type = text(properties.content_type());
    metadata.content_encoding = text(properties.content_encoding());
    metadata.correlation_id = text(properties.correlation_id());
    metadata.reply_to = text(properties.reply_to());
    metadata.app_id = text(properties.app_id());
    metadata.user_id = text(properties.user_id());
    metadata.priority = *properties.priority();
    if *properties.delivery_mode() != Some(PERSISTENT) {
        // Without the property, RabbitMQ treats a message as transient.
        metadata.delivery_mode = DeliveryMode::Transient;
    }
    if let Some(kind) = properties.kind() {
        metadata.message_type = message_type(kind.as_str());
    }
    if let Some(seconds) = *properties.timestamp() {
        metadata.timestamp =
            moment(seconds).ok_or(seconds).map_err(|found| left_out("timestamp", &found)).ok();
    }
    if let Some(expiration) = properties.expiration() {
        let parsed = expiration.as_str().parse().map(Duration::from_millis);
        metadata.expiration = parsed.map_err(|error| left_out("expiration", &error)).ok();
    }
    if let Some(table) = properties.headers() {
        metadata.headers = headers(table);
    }
    metadata
}

/// Returns a peer's message type; empty is as good as absent, and characters that a name cannot hold are escaped.
///
/// It is not left out: a message without a type goes to the only handler there is, one of an odd type must not.
fn message_type(text: &str) -> Option<MessageType> {
    if text.is_empty() {
        return None;
    }
    let error = match MessageType::try_from(text.to_owned()) {
        Ok(message_type) => return Some(message_type),
        Err(error) => error,
    };
    let mut escaped: String = text.escape_debug().collect();
    escaped.truncate(escaped.floor_char_boundary(MAX_SHORT_STRING_LENGTH));
    tracing::debug!(%error, escaped, "a delivery has a type that is no name, it is escaped");
    MessageType::try_from(escaped).ok()
}

/// Returns the text as an AMQP short string.
pub(crate) fn short(text: &str) -> Result<ShortString, ConvertError> {
    bounded(text, "a name")
}

fn bounded(text: &str, what: &'static str) -> Result<ShortString, ConvertError> {
    ShortString::try_new(text).map_err(|_| ConvertError::TooLong {
        what,
        start: text.chars().take(32).flat_map(char::escape_debug).collect(),
        found: text.len(),
    })
}

fn moment(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn left_out(property: &str, why: &dyn std::fmt::Display) {
    tracing::debug!(property, %why, "a delivery has a property that makes no sense, it is left out");
}

#[cfg(test)]
mod tests;
