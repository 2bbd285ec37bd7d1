//! One message in a dead-letter queue, and what is known of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use garenne_shared::{HeaderValue, Headers, Incoming, QueueName, fingerprint, header};
use garenne_topology::RetryTier;

use crate::{End, end::death};

/// One message in a dead-letter queue, and what is known of it. What peers wrote may be wrong, and is never believed to be well-formed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The dead-letter queue.
    pub queue: QueueName,
    /// The message as it lies there.
    pub message: Incoming,
    /// How it came there.
    pub end: End,
}

// === impl DeadLetter ===

impl DeadLetter {
    pub(crate) fn new(queue: QueueName, message: Incoming) -> Self {
        let end = End::of(&message.metadata.headers);
        Self { queue, message, end }
    }

    /// Returns the message id, if the publisher gave one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.message.metadata.message_id.as_deref()
    }

    /// Returns the message type as text; empty if it has none.
    #[must_use]
    pub fn message_type(&self) -> &str {
        self.message.metadata.message_type.as_ref().map_or("", |message_type| message_type.as_str())
    }

    /// Returns the queue that it came from, as far as anything tells.
    #[must_use]
    pub fn origin(&self) -> Option<QueueName> {
        let headers = self.headers();
        let candidates = [
            headers.text(header::ORIGIN_QUEUE),
            headers.text("x-last-death-queue"),
            death(headers).and_then(|death| death.text("queue")),
            headers.text("x-first-death-queue"),
        ];
        let known = |queue: &&str| !RetryTier::is_tier(queue) && *queue != self.queue.as_str();
        candidates
            .into_iter()
            .flatten()
            .find(known)
            .and_then(|queue| QueueName::try_from(queue.to_owned()).ok())
    }

    /// Returns the error of the last attempt that left one; of an end by the broker, that of an attempt before.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.headers().text(header::ERROR_MESSAGE)
    }

    /// Returns what the error's sources say, outermost first.
    #[must_use]
    pub fn error_chain(&self) -> Vec<&str> {
        match self.headers().get(header::ERROR_CHAIN) {
            Some(HeaderValue::List(chain)) => chain
                .iter()
                .filter_map(|source| match source {
                    HeaderValue::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Returns how many attempts failed, if a consumer wrote it.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        self.headers().int(header::ATTEMPTS).and_then(|attempts| u32::try_from(attempts).ok())
    }

    /// Returns how often it was replayed.
    #[must_use]
    pub fn replays(&self) -> u32 {
        let replays = self.headers().int(header::REPLAYS).unwrap_or(0);
        u32::try_from(replays.max(0)).unwrap_or(u32::MAX)
    }

    /// Returns when it was given up, to the second; of a message without a record, when it was published, if that is known.
    #[must_use]
    pub fn ended_at(&self) -> Option<SystemTime> {
        let headers = self.headers();
        let died = || match death(headers)?.get("time")? {
            HeaderValue::Timestamp(seconds) => since_epoch(*seconds),
            _ => None,
        };
        let failed = || match headers.get(header::FAILED_AT)? {
            HeaderValue::Timestamp(seconds) => since_epoch(*seconds),
            _ => None,
        };
        let (first, second) = match self.end {
            End::Failed(_) => (failed(), died()),
            _ => (died(), failed()),
        };
        first.or(second).or(self.message.metadata.timestamp)
    }

    /// Returns what it has in common with failures of the same kind ([`fingerprint`]).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let written = self.headers().text(header::FINGERPRINT);
        match (&self.end, written) {
            (End::Failed(_), Some(written)) => written.to_owned(),
            (End::Failed(kind), None) => self.compute(kind, self.error().unwrap_or_default()),
            // An error that is older than the end says nothing of it.
            (end, _) => {
                self.compute(end.as_str(), self.origin().as_ref().map_or("", |origin| origin.as_str()))
            }
        }
    }

    pub(crate) fn headers(&self) -> &Headers {
        &self.message.metadata.headers
    }

    fn compute(&self, kind: &str, text: &str) -> String {
        fingerprint(self.message.metadata.message_type.as_ref(), kind, text)
    }
}

fn since_epoch(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
pub(crate) mod tests {
    use garenne_shared::{Bytes, Metadata};

    use super::*;

    pub(crate) fn letter(headers: impl IntoIterator<Item = (&'static str, HeaderValue)>) -> DeadLetter {
        let mut metadata = Metadata::default();
        metadata.headers = headers.into_iter().collect();
        let (exchange, routing_key) = (String::new(), "q.dlq".to_owned());
        let message = Incoming {
            exchange,
            routing_key,
            redelivered: false,
            metadata,
            body: Bytes::from_static(b"body"),
        };
        DeadLetter::new("q.dlq".into(), message)
    }

    #[test]
    fn the_origin_is_the_queue_that_the_record_or_the_broker_names() {
        let origin = |headers: &[(&'static str, &str)]| {
            letter(headers.iter().map(|(name, value)| (*name, HeaderValue::from(*value)))).origin()
        };
        assert_eq!(origin(&[]), None);
        assert_eq!(origin(&[("garenne-origin-queue", "q"), ("x-first-death-queue", "p")]), Some("q".into()));
        assert_eq!(origin(&[("x-last-death-queue", "p"), ("x-first-death-queue", "o")]), Some("p".into()));
        assert_eq!(origin(&[("x-first-death-queue", "garenne.retry.v1.1000")]), None);
        // A message that went round, or one that lies about itself.
        assert_eq!(origin(&[("garenne-origin-queue", "q.dlq")]), None);
        assert_eq!(origin(&[("garenne-origin-queue", "")]), None);
        assert_eq!(letter([("garenne-origin-queue", 7.into())]).origin(), None);
    }

    #[test]
    fn what_peers_wrote_is_read_or_left_alone() {
        let odd = letter([
            ("garenne-replays", "many".into()),
            ("garenne-attempts", (-1).into()),
            ("garenne-error-chain", vec![HeaderValue::from(1), "a".into()].into()),
            ("garenne-failed-at", HeaderValue::Timestamp(u64::MAX)),
            ("x-death", vec![HeaderValue::from("x")].into()),
        ]);
        assert_eq!((odd.replays(), odd.attempts(), odd.ended_at()), (0, None, None));
        assert_eq!(odd.error_chain(), ["a"]);
        assert_eq!(letter([("garenne-replays", i64::MAX.into())]).replays(), u32::MAX);
        assert_eq!(letter([("garenne-replays", i64::MIN.into())]).replays(), 0);
    }

    #[test]
    fn ends_without_an_error_have_a_fingerprint_too() {
        let expired = |queue: &str| {
            let reason = ("x-last-death-reason", HeaderValue::from("expired"));
            letter([reason, ("x-last-death-queue", queue.into())]).fingerprint()
        };
        assert_eq!(expired("p"), expired("p"));
        assert_ne!(expired("p"), expired("o"));
        let failed = letter([("garenne-error-kind", "panic".into()), ("garenne-fingerprint", "f".into())]);
        assert_eq!(failed.fingerprint(), "f");
    }
}
