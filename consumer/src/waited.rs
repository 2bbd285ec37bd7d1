//! Messages that come back from a retry tier: who they were, and what has happened to them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use garenne_shared::{HeaderValue, Headers, Incoming, QueueName, header};
use garenne_topology::RetryTier;

use crate::report::Report;

/// What is known of a message that waited in a tier.
#[derive(Debug, Clone)]
pub(crate) struct Waited {
    /// The attempts that failed before.
    pub(crate) attempts: u32,
    /// When the first of them did.
    pub(crate) first_failed_at: Option<SystemTime>,
    /// Why the last of them failed.
    pub(crate) report: Report,
    /// When the next one is due, if that takes more than the one tier.
    due: Option<SystemTime>,
}

// === impl Waited ===

impl Waited {
    /// Recognizes a message of this queue that comes from a tier, and makes it what it was before.
    ///
    /// The mark alone is not believed, since any peer can write it: it counts if the broker says that the message was in a tier.
    pub(crate) fn take(incoming: &mut Incoming, queue: &QueueName) -> Option<Self> {
        let headers = &incoming.metadata.headers;
        let is_marked = matches!(headers.get(header::RETRY), Some(HeaderValue::Bool(true)))
            && headers.text(header::ORIGIN_QUEUE) == Some(queue.as_str())
            && headers.text("x-first-death-queue").is_some_and(RetryTier::is_tier);
        if !is_marked {
            return None;
        }
        let waited = Self {
            attempts: number(headers, header::ATTEMPTS).unwrap_or(0),
            first_failed_at: time(headers, header::FIRST_FAILED_AT),
            report: Report::recorded(headers),
            due: headers
                .int(header::RETRY_AT)
                .and_then(|millis| u64::try_from(millis).ok())
                .and_then(since_epoch),
        };
        let text = |name: &str| headers.text(name).map(str::to_owned);
        let (exchange, routing_key) = (text(header::ORIGIN_EXCHANGE), text(header::ORIGIN_ROUTING_KEY));
        let user_id = text(header::ORIGIN_USER_ID);
        let expiration = number::<u64>(headers, header::ORIGIN_EXPIRATION).map(Duration::from_millis);
        let headers = &mut incoming.metadata.headers;
        // The deaths tell of the tier only.
        for name in header::RECORD.into_iter().chain(header::DEATHS) {
            headers.remove(name);
        }
        incoming.exchange = exchange.unwrap_or_default();
        incoming.routing_key = routing_key.unwrap_or_else(|| queue.as_str().to_owned());
        incoming.metadata.user_id = user_id;
        incoming.metadata.expiration = expiration;
        Some(waited)
    }

    /// Returns how long it still has to wait, if that is more than a second.
    pub(crate) fn still(&self) -> Option<Duration> {
        let left = self.due?.duration_since(SystemTime::now()).ok()?;
        (left > SLACK).then_some(left)
    }
}

/// How much too early a message may be handled.
const SLACK: Duration = Duration::from_secs(1);

fn number<T: TryFrom<i64>>(headers: &Headers, name: &str) -> Option<T> {
    headers.int(name).and_then(|number| T::try_from(number).ok())
}

fn time(headers: &Headers, name: &str) -> Option<SystemTime> {
    match headers.get(name) {
        Some(HeaderValue::Timestamp(seconds)) => UNIX_EPOCH.checked_add(Duration::from_secs(*seconds)),
        _ => None,
    }
}

fn since_epoch(millis: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use garenne_shared::{Bytes, Metadata};

    use super::*;

    fn message(headers: &[(&str, HeaderValue)]) -> Incoming {
        let mut metadata = Metadata::default();
        metadata.headers = headers.iter().cloned().collect();
        let (exchange, routing_key) = (String::new(), "q".to_owned());
        Incoming { exchange, routing_key, redelivered: false, metadata, body: Bytes::new() }
    }

    fn marked() -> Vec<(&'static str, HeaderValue)> {
        vec![
            (header::RETRY, true.into()),
            (header::ORIGIN_QUEUE, "q".into()),
            (header::ORIGIN_EXCHANGE, "orders".into()),
            (header::ORIGIN_ROUTING_KEY, "placed".into()),
            (header::ORIGIN_EXPIRATION, 1500.into()),
            (header::ATTEMPTS, 3.into()),
            (header::ERROR_MESSAGE, "no".into()),
            (header::FIRST_FAILED_AT, HeaderValue::Timestamp(7)),
            ("x-first-death-queue", "garenne.retry.v1.1000".into()),
            ("tenant", "t1".into()),
        ]
    }

    #[test]
    fn a_message_that_waited_is_what_it_was() {
        let mut incoming = message(&marked());
        let waited = Waited::take(&mut incoming, &"q".into()).unwrap();
        assert_eq!((waited.attempts, waited.report.message.as_str(), waited.still()), (3, "no", None));
        assert_eq!(waited.first_failed_at, Some(UNIX_EPOCH + Duration::from_secs(7)));
        assert_eq!((incoming.exchange.as_str(), incoming.routing_key.as_str()), ("orders", "placed"));
        assert_eq!(incoming.metadata.expiration, Some(Duration::from_millis(1500)));
        let left: Headers = [("tenant", HeaderValue::from("t1"))].into_iter().collect();
        assert_eq!(incoming.metadata.headers, left);
    }

    #[test]
    fn a_mark_that_is_not_ours_is_a_header_like_any_other() {
        for missing in [header::RETRY, header::ORIGIN_QUEUE, "x-first-death-queue"] {
            let headers: Vec<_> = marked().into_iter().filter(|(name, _)| *name != missing).collect();
            let mut incoming = message(&headers);
            assert!(Waited::take(&mut incoming, &"q".into()).is_none(), "{missing}");
            assert_eq!(incoming, message(&headers));
        }
        assert!(Waited::take(&mut message(&marked()), &"other".into()).is_none());
    }
}
