//! Message metadata, mapped onto the standard AMQP properties and headers.

use std::{
    cell::RefCell,
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::{Headers, MessageType, Original};

/// How the broker keeps a message (AMQP property `delivery_mode`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// Written to disk in durable queues (2). The default.
    #[default]
    Persistent,
    /// Kept in memory where the queue allows it (1); lost when the broker restarts.
    Transient,
}

/// What travels beside the body: the standard AMQP properties and the headers.
///
/// Every field is what the wire carries; absent is `None`. Text of a peer that is not UTF-8 is shown as [`escape`](crate::escape) does
/// it; [`original`](Self::original) has its bytes.
///
/// In JSON and other formats of serde it is a map of the fields by name, with `timestamp_s` (seconds since the Unix epoch),
/// `expiration_ms` (milliseconds), `delivery_mode` (`"persistent"`, `"transient"`), and headers as [`HeaderValue`](crate::HeaderValue)
/// shows them. What the units leave over, and the wire drops, stands in `timestamp_ns` and `expiration_ns` (nanoseconds).
/// What is not set is left out; what is missing is not set; an unknown name is an error.
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
    /// What a delivered message was before it became all this, byte for byte. It is used when the message is published again.
    pub original: Option<Original>,
}

// === impl Metadata ===

impl Metadata {
    /// Makes empty metadata: persistent, nothing else set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a fresh message id: a UUID v7, so ids sort by time, to the millisecond.
    #[must_use]
    pub fn new_message_id() -> String {
        // `Uuid::now_v7` asks the kernel for random bits each time: 0.6 us a message, fifteen times what this takes.
        // An id must be unique, not secret: one seed from the kernel for each thread is enough. fastrand's own seed is
        // made of the uptime and the thread's number, which two hosts may share.
        thread_local! {
            static RANDOM: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::with_seed(RandomState::new().build_hasher().finish()));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let mut random = [0; 10];
        RANDOM.with_borrow_mut(|generator| generator.fill(&mut random));
        let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn message_ids_are_distinct_and_of_version_7() {
        let ids: BTreeSet<_> = (0..10_000).map(|_| Metadata::new_message_id()).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            let id: uuid::Uuid = id.parse().unwrap();
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        }
    }

    #[test]
    fn message_ids_hold_the_time() {
        let id: uuid::Uuid = Metadata::new_message_id().parse().unwrap();
        let (seconds, _) = id.get_timestamp().unwrap().to_unix();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now.abs_diff(seconds) < 60);
    }
}
