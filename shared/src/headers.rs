//! Message headers: the AMQP field table as plain Rust values.

mod field;
pub(crate) mod form;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use self::field::{HeaderError, ToHeader};

/// The names of the headers that Garenne reads and writes.
pub mod header {
    /// How often delivery of this message has failed so far (integer); absent means 0.
    pub const ATTEMPTS: &str = "garenne-attempts";
    /// The message id of the message that caused this one.
    pub const CAUSATION_ID: &str = "garenne-causation-id";
    /// The kind of the error that dead-lettered the message.
    pub const ERROR_KIND: &str = "garenne-error-kind";
    /// The message of that error.
    pub const ERROR_MESSAGE: &str = "garenne-error-message";
    /// The chain of its sources, outermost first (list of text).
    pub const ERROR_CHAIN: &str = "garenne-error-chain";
    /// When it failed last (timestamp).
    pub const FAILED_AT: &str = "garenne-failed-at";
    /// When it failed first (timestamp).
    pub const FIRST_FAILED_AT: &str = "garenne-first-failed-at";
    /// Marks a message that waits for its next attempt (true).
    pub const RETRY: &str = "garenne-retry";
    /// When that attempt is due, in milliseconds since 1970, where the place it waits in does not say.
    pub const RETRY_AT: &str = "garenne-retry-at";
    /// The queue in which it failed.
    pub const ORIGIN_QUEUE: &str = "garenne-origin-queue";
    /// The exchange to which it was first published.
    pub const ORIGIN_EXCHANGE: &str = "garenne-origin-exchange";
    /// The routing key with which it was first published.
    pub const ORIGIN_ROUTING_KEY: &str = "garenne-origin-routing-key";
    /// The time to live it had, in milliseconds.
    pub const ORIGIN_EXPIRATION: &str = "garenne-origin-expiration";
    /// The user that published it, as the broker had verified.
    pub const ORIGIN_USER_ID: &str = "garenne-origin-user-id";
    /// The service that gave up on it.
    pub const SERVICE: &str = "garenne-service";
    /// The host on which that service ran.
    pub const HOST: &str = "garenne-host";
    /// The handler that failed: its type's name.
    pub const HANDLER: &str = "garenne-handler";
    /// What failures of one kind have in common, see [`fingerprint`](crate::fingerprint).
    pub const FINGERPRINT: &str = "garenne-fingerprint";
    /// How often it was replayed from a dead-letter queue (integer); absent means never.
    pub const REPLAYS: &str = "garenne-replays";
    /// The dead-letter queue from which it was replayed last.
    pub const REPLAYED_FROM: &str = "garenne-replayed-from";
    /// Marks a message that waits at the end of its own queue for its dead-letter queue (true).
    pub const PUT_BACK: &str = "garenne-put-back";
    /// Marks a message that was edited before it was replayed (true).
    pub const EDITED: &str = "garenne-edited";

    /// The headers that describe a failure, and the wait for the next attempt.
    pub const RECORD: [&str; 17] = [
        ERROR_KIND,
        ERROR_MESSAGE,
        ERROR_CHAIN,
        ATTEMPTS,
        FAILED_AT,
        FIRST_FAILED_AT,
        RETRY,
        RETRY_AT,
        ORIGIN_QUEUE,
        ORIGIN_EXCHANGE,
        ORIGIN_ROUTING_KEY,
        ORIGIN_EXPIRATION,
        ORIGIN_USER_ID,
        SERVICE,
        HOST,
        HANDLER,
        FINGERPRINT,
    ];

    /// What the broker writes when it dead-letters (<https://www.rabbitmq.com/docs/dlx#effects>).
    pub const DEATHS: [&str; 7] = [
        "x-death",
        "x-first-death-exchange",
        "x-first-death-queue",
        "x-first-death-reason",
        "x-last-death-exchange",
        "x-last-death-queue",
        "x-last-death-reason",
    ];

    /// Where a quorum queue counts deliveries (<https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>).
    pub const COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

    /// What would route a message to further queues (<https://www.rabbitmq.com/docs/sender-selected>).
    pub const COPIES: [&str; 2] = ["CC", "BCC"];

    /// W3C trace context.
    pub const TRACEPARENT: &str = "traceparent";
    /// W3C trace state.
    pub const TRACESTATE: &str = "tracestate";
}

/// One header value.
///
/// In JSON and other formats of serde a value stands as itself, but for those that they do not know:
///
/// | value | stands as |
/// |---|---|
/// | bytes | `{"$base64": "AQI="}` |
/// | a timestamp | `{"$timestamp": 1735689600}`, in seconds; as text above 2^63 - 1 |
/// | a float that is no number, or infinite | `{"$float": "NaN"}`, `"inf"`, `"-inf"` |
/// | a nested table of one entry with such a name | `{"$table": {"$base64": ".."}}` |
///
/// Every value comes back as it was, but for the sign and the payload of a NaN.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum HeaderValue {
    /// No value (`V`).
    Null,
    /// A truth value (`t`).
    Bool(bool),
    /// A signed integer (`l`); every narrower integer of the wire widens to it.
    Int(i64),
    /// A floating-point number (`d`).
    Float(f64),
    /// Text (`S`, valid UTF-8).
    Text(String),
    /// Bytes (`x`, or an `S` that is not UTF-8).
    Bytes(Bytes),
    /// Seconds since the Unix epoch (`T`).
    Timestamp(u64),
    /// A list (`A`).
    List(Vec<HeaderValue>),
    /// A nested table (`F`).
    Table(Headers),
}

/// The headers of a message: a sorted map of names to values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<String, HeaderValue>);

// === impl Headers ===

impl Headers {
    /// Makes an empty set of headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Sets a header, replacing an earlier value of the same name.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<HeaderValue>) {
        self.0.insert(name.into(), value.into());
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&HeaderValue> {
        self.0.get(name)
    }

    /// Returns the value of a header that holds text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            HeaderValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the value of a header that holds an integer.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            HeaderValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// Removes a header and returns its value.
    pub fn remove(&mut self, name: &str) -> Option<HeaderValue> {
        self.0.remove(name)
    }

    /// Iterates over names and values, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns `true` if there is no header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<HeaderValue>> FromIterator<(K, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl IntoIterator for Headers {
    type Item = (String, HeaderValue);
    type IntoIter = std::collections::btree_map::IntoIter<String, HeaderValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident via $via:ty;)*) => {$(
        impl From<$from> for HeaderValue {
            fn from(value: $from) -> Self {
                Self::$variant(<$via>::from(value))
            }
        }
    )*};
}

from! {
    bool => Bool via bool;
    i8 => Int via i64;
    i16 => Int via i64;
    i32 => Int via i64;
    i64 => Int via i64;
    u8 => Int via i64;
    u16 => Int via i64;
    u32 => Int via i64;
    f32 => Float via f64;
    f64 => Float via f64;
    &str => Text via String;
    String => Text via String;
    Bytes => Bytes via Bytes;
    Vec<HeaderValue> => List via Vec<HeaderValue>;
    Headers => Table via Headers;
}

#[cfg(test)]
pub(crate) mod tests;
