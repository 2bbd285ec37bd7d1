//! How a message came to its dead-letter queue.

use std::fmt;

use garenne_shared::{HeaderValue, Headers, header};
use garenne_topology::RetryTier;

/// How a message came to its dead-letter queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum End {
    /// A consumer of Garenne gave it up, with an error of this kind: `handler`, `panic`, `timeout`, `undecodable`, `unknown-type`,
    /// `unknown-content-type` or `publish`.
    Failed(String),
    /// The broker took it away after too many failed deliveries: it killed its consumers, or the limit is lower than they assumed.
    DeliveryLimit,
    /// Its time to live was over.
    Expired,
    /// Its queue was full.
    MaxLength,
    /// A consumer rejected it, and wrote no record.
    Rejected,
    /// Nothing tells: it was published there.
    Unknown,
}

// === impl End ===

impl End {
    /// Reads how a message ended. What the broker did in a queue is later than what a consumer wrote there.
    pub(crate) fn of(headers: &Headers) -> Self {
        let by_broker = headers
            .text("x-last-death-queue")
            .or_else(|| death(headers).and_then(|death| death.text("queue")))
            .filter(|queue| !RetryTier::is_tier(queue))
            .and_then(|_| {
                headers
                    .text("x-last-death-reason")
                    .or_else(|| death(headers).and_then(|death| death.text("reason")))
            });
        let kind = || headers.text(header::ERROR_KIND).map(|kind| Self::Failed(kind.to_owned()));
        match by_broker {
            Some("delivery_limit") => Self::DeliveryLimit,
            Some("expired") => Self::Expired,
            Some("maxlen") => Self::MaxLength,
            Some("rejected") => kind().unwrap_or(Self::Rejected),
            _ => kind().unwrap_or(Self::Unknown),
        }
    }

    /// Returns the end as one word: the kind of the error, or what the broker did.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Failed(kind) => kind,
            Self::DeliveryLimit => "delivery-limit",
            Self::Expired => "expired",
            Self::MaxLength => "max-length",
            Self::Rejected => "rejected",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns the last entry of `x-death`, which stands first.
pub(crate) fn death(headers: &Headers) -> Option<&Headers> {
    match headers.get("x-death")? {
        HeaderValue::List(deaths) => match deaths.first()? {
            HeaderValue::Table(death) => Some(death),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[(&str, &str)], expected: &End) {
        assert_eq!(&End::of(&headers.iter().copied().collect()), expected);
    }

    #[test]
    fn the_end_is_what_happened_last() {
        let failed = End::Failed("panic".to_owned());
        check(&[], &End::Unknown);
        check(&[("garenne-error-kind", "panic")], &failed);
        for (reason, expected) in [
            ("expired", End::Expired),
            ("maxlen", End::MaxLength),
            ("delivery_limit", End::DeliveryLimit),
            ("rejected", End::Rejected),
            ("something new", End::Unknown),
        ] {
            check(&[("x-last-death-queue", "q"), ("x-last-death-reason", reason)], &expected);
        }
        // It came back from a retry tier with its error, and then killed its consumer.
        let headers = [("garenne-error-kind", "panic"), ("x-last-death-queue", "q")];
        check(&[headers[0], headers[1], ("x-last-death-reason", "delivery_limit")], &End::DeliveryLimit);
        // The copy was too large for its record, so that the original was rejected.
        check(&[headers[0], headers[1], ("x-last-death-reason", "rejected")], &failed);
        // A tier is no end.
        let tier = [("x-last-death-queue", "garenne.retry.v1.1000"), ("x-last-death-reason", "expired")];
        check(&tier, &End::Unknown);
        check(&[tier[0], tier[1], ("garenne-error-kind", "panic")], &failed);
    }

    #[test]
    fn an_older_broker_tells_by_the_list_of_deaths_alone() {
        let death: Headers = [("queue", "q"), ("reason", "expired")].into_iter().collect();
        let deaths = |deaths: Vec<HeaderValue>| [("x-death", deaths)].into_iter().collect::<Headers>();
        assert_eq!(End::of(&deaths(vec![death.into()])), End::Expired);
        assert_eq!(End::of(&deaths(vec![])), End::Unknown);
        assert_eq!(End::of(&deaths(vec![7.into()])), End::Unknown);
        assert_eq!(End::of(&[("x-death", "no list")].into_iter().collect()), End::Unknown);
    }
}
