//! Message metadata, mapped onto the standard AMQP properties and headers.

use std::time::{Duration, SystemTime};

use crate::{Headers, MessageType};

/// How the broker keeps a message (AMQP property `delivery_mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Written to disk in durable queues (2). The default.
    #[default]
    Persistent,
    /// Kept in memory where the queue allows it (1); lost when the broker restarts.
    Transient,
}

/// What travels beside the body: the standard AMQP properties and the headers.
///
/// Every field is what the wire carries; absent is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Metadata {
    /// AMQP `message_id`. Given by the user, or a UUID v7 that the publisher makes.
    pub message_id: Option<String>,
    /// AMQP `type`.
    pub message_type: Option<MessageType>,
    /// AMQP `content_type`, such as `application/json`; it selects the codec.
    pub content_type: Option<String>,
    /// AMQP `content_encoding`.
    pub content_encoding: Option<String>,
    /// AMQP `correlation_id`.
    pub correlation_id: Option<String>,
    /// AMQP `reply_to`.
    pub reply_to: Option<String>,
    /// AMQP `app_id`: the service that published the message.
    pub app_id: Option<String>,
    /// AMQP `user_id`; the broker refuses a value other than the connection's user.
    pub user_id: Option<String>,
    /// AMQP `timestamp`, to the second.
    pub timestamp: Option<SystemTime>,
    /// AMQP `expiration`: how long the message may wait in a queue, to the millisecond.
    pub expiration: Option<Duration>,
    /// AMQP `priority`.
    pub priority: Option<u8>,
    /// AMQP `delivery_mode`.
    pub delivery_mode: DeliveryMode,
    /// AMQP `headers`.
    pub headers: Headers,
}

// === impl Metadata ===

impl Metadata {
    /// Makes empty metadata: persistent, nothing else set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a fresh message id: a UUID v7, so ids sort by time.
    #[must_use]
    pub fn new_message_id() -> String {
        uuid::Uuid::now_v7().to_string()
    }
}
