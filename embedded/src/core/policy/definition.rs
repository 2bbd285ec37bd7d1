//! What the settings of a policy may be, and which types of queues do without a policy for one of them.
//!
//! `rabbit_policies.erl`, `validate_policy`; `rabbit_quorum_queue.erl`, `validate_policy`.

use amq_protocol::types::{AMQPValue, FieldTable};

use crate::core::queue::{QueueKind, duration};
use crate::core::{erlang, table};

/// The largest segment of a stream: `rabbit_stream_queue.erl`.
const MAX_SEGMENT: i64 = 3_000_000_000;

/// Checks the settings.
///
/// # Errors
///
/// Fails with RabbitMQ's text if there is none, an unknown one, or one with a value that it cannot have.
pub(super) fn check(definition: &FieldTable) -> Result<(), String> {
    let mut unknown = Vec::new();
    for (key, value) in definition {
        match check_one(key.as_str(), value) {
            Ok(()) => {}
            Err(Some(why)) => return Err(why),
            Err(None) => unknown.push(format!(
                "{{{},{}}}",
                erlang::binary(key.as_str().as_bytes()),
                erlang::term(value)
            )),
        }
    }
    if !unknown.is_empty() {
        return Err(format!("[{}] are not recognised policy settings", unknown.join(",")));
    }
    if definition.inner().is_empty() {
        return Err("no policy provided".to_owned());
    }
    check_delayed_retry(definition)
}

/// `Err(None)` is an unknown setting.
fn check_one(key: &str, value: &AMQPValue) -> Result<(), Option<String>> {
    let number = table::integer(value);
    let text = table::string(value);
    let is_one_of = |known: &[&str]| text.is_some_and(|text| known.contains(&text));
    let is_at_least = |min: i64| number.is_some_and(|number| number >= min);
    let (is_valid, what) = match key {
        "alternate-exchange" => (text.is_some(), "alternate exchange name"),
        "consumer-disconnected-timeout" => (is_at_least(0), "consumer disconnected timeout"),
        "consumer-timeout" => (is_at_least(0), "consumer timeout"),
        "dead-letter-exchange" => (text.is_some(), "dead letter exchange name"),
        "dead-letter-routing-key" => (text.is_some(), "dead letter routing key"),
        "dead-letter-strategy" => (is_one_of(&["at-most-once", "at-least-once"]), "dead letter strategy"),
        "message-ttl" => (is_at_least(0), "message TTL"),
        "expires" => (is_at_least(1), "queue expiry"),
        "max-length" => (is_at_least(0), "maximum length"),
        "max-length-bytes" => (is_at_least(0), "maximum length in bytes"),
        "max-in-memory-length" | "max-in-memory-bytes" => (is_at_least(0), "maximum memory in bytes"),
        "queue-mode" => (is_one_of(&["default", "lazy"]), "queue-mode value"),
        "queue-version" => (matches!(number, Some(1 | 2)), "queue-version value"),
        "overflow" => (is_one_of(&["drop-head", "reject-publish", "reject-publish-dlx"]), "overflow value"),
        "delivery-limit" => (number.is_some(), "delivery limit"),
        "max-age" => (text.and_then(duration).is_some_and(|age| age > 0), "max age"),
        "queue-leader-locator" => (
            is_one_of(&["client-local", "balanced", "random", "least-leaders"]),
            "queue leader locator value",
        ),
        "initial-cluster-size" => (is_at_least(0), "cluster size"),
        "stream-max-segment-size-bytes" => (matches!(number, Some(0..=MAX_SEGMENT)), "segment size"),
        "stream-filter-size-bytes" => {
            (matches!(number, Some(16..=255)), "filter size. Valid range is 16-255")
        }
        "delayed-retry-type" => (
            is_one_of(&["all", "failed", "returned", "disabled"]),
            "delayed retry type. Must be one of: all, failed, returned, disabled",
        ),
        "delayed-retry-min" => (is_at_least(1), "delayed retry minimum delay. Must be a positive integer"),
        "delayed-retry-max" => (is_at_least(1), "delayed retry maximum delay. Must be a positive integer"),
        "target-group-size" => (is_at_least(1), "qq target count value"),
        "queue-master-locator" => {
            let text = "use of deprecated queue-master-locator argument is not permitted";
            return Err(Some(text.to_owned()));
        }
        _ => return Err(None),
    };
    if is_valid { Ok(()) } else { Err(Some(format!("{} is not a valid {what}", erlang::term(value)))) }
}

/// `rabbit_quorum_queue.erl`, `validate_delayed_retry_constraints`.
fn check_delayed_retry(definition: &FieldTable) -> Result<(), String> {
    let number = |key| table::get_integer(definition, key);
    match (
        table::get_string(definition, "delayed-retry-type"),
        number("delayed-retry-min"),
        number("delayed-retry-max"),
    ) {
        (Some(kind), None, _) if kind != "disabled" => {
            Err(format!("delayed-retry-min is required when delayed-retry-type is {kind}"))
        }
        (_, Some(min), Some(max)) if max < min => {
            Err(format!("delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})"))
        }
        _ => Ok(()),
    }
}

/// Returns whether a policy applies to a type of queue: one with a setting that the type does not know does not apply at all.
///
/// `rabbit_queue_type.erl`, `is_policy_applicable`; `unsupported_policies` in the `capabilities` of each type's module.
pub(super) fn applies_to(definition: &FieldTable, kind: QueueKind) -> bool {
    let unsupported: &[&str] = match kind {
        QueueKind::Classic => &[
            "max-age",
            "stream-max-segment-size-bytes",
            "initial-cluster-size",
            "delivery-limit",
            "dead-letter-strategy",
            "max-in-memory-length",
            "max-in-memory-bytes",
            "target-group-size",
        ],
        QueueKind::Quorum => {
            &["queue-mode", "max-age", "stream-max-segment-size-bytes", "initial-cluster-size"]
        }
        QueueKind::Stream => &[
            "expires",
            "message-ttl",
            "dead-letter-exchange",
            "dead-letter-routing-key",
            "max-length",
            "max-in-memory-length",
            "max-in-memory-bytes",
            "overflow",
            "queue-mode",
            "delivery-limit",
            "dead-letter-strategy",
            "target-group-size",
        ],
    };
    !definition.into_iter().any(|(key, _)| unsupported.contains(&key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, AMQPValue)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in entries {
            table.insert((*key).into(), value.clone());
        }
        table
    }

    #[test]
    fn settings_that_cannot_be_are_refused_in_the_words_of_rabbitmq() {
        let text = |text: &str| AMQPValue::LongString(text.into());
        for (key, value, why) in [
            ("max-length", AMQPValue::LongInt(-1), "-1 is not a valid maximum length"),
            ("overflow", text("zz"), "<<\"zz\">> is not a valid overflow value"),
            ("foo", AMQPValue::LongInt(1), "[{<<\"foo\">>,1}] are not recognised policy settings"),
            (
                "delayed-retry-type",
                text("failed"),
                "delayed-retry-min is required when delayed-retry-type is failed",
            ),
        ] {
            assert_eq!(check(&table(&[(key, value)])), Err(why.to_owned()));
        }
        assert_eq!(check(&table(&[])), Err("no policy provided".to_owned()));
        assert_eq!(check(&table(&[("delivery-limit", AMQPValue::LongInt(-1))])), Ok(()));
    }

    #[test]
    fn a_policy_with_a_setting_of_another_type_does_not_apply_at_all() {
        let limits =
            table(&[("max-length", AMQPValue::LongInt(1)), ("delivery-limit", AMQPValue::LongInt(1))]);
        assert!(applies_to(&limits, QueueKind::Quorum));
        assert!(!applies_to(&limits, QueueKind::Classic));
        assert!(!applies_to(&limits, QueueKind::Stream));
    }
}
