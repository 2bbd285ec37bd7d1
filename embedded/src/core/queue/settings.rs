//! What arguments and policies make of a queue.
//!
//! <https://www.rabbitmq.com/docs/queues#optional-arguments>, <https://www.rabbitmq.com/docs/policies>

use amq_protocol::types::{AMQPValue, FieldTable};

use super::QueueKind;
use crate::core::{Key, Name, table};

/// A quorum queue's limit unless it is told otherwise: `rabbit_quorum_queue.erl`, `DEFAULT_DELIVERY_LIMIT`.
const DELIVERY_LIMIT: u32 = 20;
/// Half an hour: <https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>.
const CONSUMER_TIMEOUT: u64 = 1_800_000;

/// What a full queue does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// Drops its oldest message.
    #[default]
    DropHead,
    /// Refuses the new one.
    RejectPublish,
    /// Refuses the new one and sends a copy to the dead-letter exchange.
    RejectPublishDlx,
}

/// Which deliveries come back late: <https://www.rabbitmq.com/docs/quorum-queues#delayed-retry>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DelayedKind {
    /// Those that failed: `basic.reject`, a lost channel.
    Failed,
    /// Those that were given back: `basic.nack`.
    Returned,
    /// Both.
    All,
}

/// Native delayed retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DelayedRetry {
    pub(crate) kind: DelayedKind,
    /// The first delay in milliseconds; the nth is n times as long.
    pub(crate) min: u64,
    /// The longest delay in milliseconds.
    pub(crate) max: u64,
}

/// The settings in force.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings {
    pub(crate) message_ttl: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_length_bytes: Option<u64>,
    pub(crate) overflow: Overflow,
    pub(crate) dead_letter_exchange: Option<Name>,
    pub(crate) dead_letter_routing_key: Option<Key>,
    /// Only where all its conditions hold: a quorum queue that refuses what it cannot hold and has a dead-letter exchange.
    pub(crate) dead_letter_at_least_once: bool,
    /// `None` is without limit.
    pub(crate) delivery_limit: Option<u32>,
    /// Of a classic queue; `None` is without priorities.
    pub(crate) max_priority: Option<u8>,
    pub(crate) single_active_consumer: bool,
    /// Of quorum queues, in milliseconds.
    pub(crate) consumer_timeout: Option<u64>,
    pub(crate) delayed_retry: Option<DelayedRetry>,
    /// Of streams, in milliseconds.
    pub(crate) max_age: Option<u64>,
}

/// Arguments and policy of one queue.
struct Sources<'s> {
    arguments: &'s FieldTable,
    policy: Option<&'s FieldTable>,
}

impl Sources<'_> {
    fn values(&self, key: &str) -> [Option<&AMQPValue>; 2] {
        let argument = self.arguments.inner().get(format!("x-{key}").as_str());
        [argument, self.policy.and_then(|policy| policy.inner().get(key))]
    }

    /// The lower of both: `rabbit_queue_type_util:args_policy_lookup` with `min`.
    fn lower(&self, key: &str) -> Option<u64> {
        let numbers = self.values(key).into_iter().flatten().filter_map(table::integer);
        numbers.filter_map(|number| u64::try_from(number).ok()).min()
    }

    /// The argument, or else the policy.
    fn text(&self, key: &str) -> Option<&str> {
        self.values(key).into_iter().flatten().find_map(table::string)
    }

    /// The argument, or else the policy, as bytes.
    fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.values(key).into_iter().flatten().find_map(table::bytes)
    }

    /// The policy, or else the argument.
    fn policy_text(&self, key: &str) -> Option<&str> {
        self.values(key).into_iter().rev().flatten().find_map(table::string)
    }
}

impl Settings {
    /// Returns what is in force; the arguments are valid. `policy` is the definition of the effective policy.
    pub(crate) fn new(kind: QueueKind, arguments: &FieldTable, policy: Option<&FieldTable>) -> Self {
        let from = Sources { arguments, policy };
        let is_quorum = kind == QueueKind::Quorum;
        // `rabbit_amqqueue_process.erl`, `process_args_policy`; `rabbit_quorum_queue.erl`, `gather_policy_config`.
        let overflow = if is_quorum { from.policy_text("overflow") } else { from.text("overflow") };
        let overflow = match overflow {
            Some("reject-publish") => Overflow::RejectPublish,
            // `rabbit_quorum_queue.erl`, `overflow`: unknown to quorum queues, which warn and drop heads.
            Some("reject-publish-dlx") if !is_quorum => Overflow::RejectPublishDlx,
            _ => Overflow::DropHead,
        };
        let dead_letter_exchange = from.text("dead-letter-exchange").map(Name::from);
        let is_safe = from.text("dead-letter-strategy") == Some("at-least-once");
        let sac = arguments.inner().get("x-single-active-consumer");
        Self {
            message_ttl: from.lower("message-ttl"),
            expires: from.lower("expires"),
            max_length: from.lower("max-length"),
            max_length_bytes: from.lower("max-length-bytes"),
            overflow,
            dead_letter_routing_key: from.bytes("dead-letter-routing-key").map(Key::from),
            dead_letter_at_least_once: is_quorum
                && is_safe
                && overflow == Overflow::RejectPublish
                && dead_letter_exchange.is_some(),
            dead_letter_exchange,
            delivery_limit: if is_quorum { delivery_limit(&from) } else { None },
            max_priority: (kind == QueueKind::Classic)
                .then(|| table::get_integer(arguments, "x-max-priority"))
                .flatten()
                .and_then(|priority| u8::try_from(priority).ok()),
            single_active_consumer: matches!(sac, Some(AMQPValue::Boolean(true))),
            consumer_timeout: is_quorum.then(|| from.lower("consumer-timeout").unwrap_or(CONSUMER_TIMEOUT)),
            delayed_retry: if is_quorum { delayed_retry(&from) } else { None },
            max_age: (kind == QueueKind::Stream).then(|| from.text("max-age").and_then(duration)).flatten(),
        }
    }
}

/// The lower of argument and policy, where -1 is no limit: `rabbit_quorum_queue.erl`, `ra_machine_config`.
fn delivery_limit(from: &Sources<'_>) -> Option<u32> {
    let given: Vec<i64> =
        from.values("delivery-limit").into_iter().flatten().filter_map(table::integer).collect();
    if given.is_empty() {
        return Some(DELIVERY_LIMIT);
    }
    given.into_iter().filter_map(|limit| u32::try_from(limit).ok()).min()
}

/// The longest delay is the shortest unless it is given: `rabbit_quorum_queue.erl`, `get_delayed_retry_config`.
fn delayed_retry(from: &Sources<'_>) -> Option<DelayedRetry> {
    let kind = match from.policy_text("delayed-retry-type")? {
        "failed" => DelayedKind::Failed,
        "returned" => DelayedKind::Returned,
        "all" => DelayedKind::All,
        _ => return None,
    };
    let min = from.lower("delayed-retry-min").filter(|min| *min > 0)?;
    let max = from.lower("delayed-retry-max").filter(|max| *max > 0).unwrap_or(min);
    Some(DelayedRetry { kind, min, max })
}

/// Reads `7D`, `12h`, `30s`: `rabbit_date_time.erl`, as the argument `x-max-age` has it. Months and years are of 30 and 365 days.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "Y" => 365 * 86_400,
        "M" => 30 * 86_400,
        "D" => 86_400,
        "h" => 3_600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds)?.checked_mul(1000)
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

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.as_bytes().into())
    }

    #[test]
    fn of_two_numbers_the_lower_wins_and_of_two_texts_the_argument() {
        let arguments =
            table(&[("x-message-ttl", AMQPValue::LongInt(500)), ("x-dead-letter-exchange", text("mine"))]);
        let policy =
            table(&[("message-ttl", AMQPValue::LongInt(100)), ("dead-letter-exchange", text("theirs"))]);
        let settings = Settings::new(QueueKind::Classic, &arguments, Some(&policy));
        assert_eq!(settings.message_ttl, Some(100));
        assert_eq!(settings.dead_letter_exchange.as_deref(), Some("mine"));
        assert_eq!(settings.delivery_limit, None, "classic queues count nothing");
    }

    #[test]
    fn dead_letters_are_safe_only_where_everything_fits() {
        let safe = [("x-dead-letter-strategy", text("at-least-once")), ("x-dead-letter-exchange", text("x"))];
        let settings = Settings::new(QueueKind::Quorum, &table(&safe), None);
        assert!(!settings.dead_letter_at_least_once, "drop-head falls back to at-most-once");
        let mut full = safe.to_vec();
        full.push(("x-overflow", text("reject-publish")));
        assert!(Settings::new(QueueKind::Quorum, &table(&full), None).dead_letter_at_least_once);
        assert!(!Settings::new(QueueKind::Classic, &table(&full), None).dead_letter_at_least_once);
    }

    #[test]
    fn minus_one_lifts_the_delivery_limit() {
        let unlimited = table(&[("x-delivery-limit", AMQPValue::LongInt(-1))]);
        assert_eq!(Settings::new(QueueKind::Quorum, &unlimited, None).delivery_limit, None);
        assert_eq!(Settings::new(QueueKind::Quorum, &table(&[]), None).delivery_limit, Some(20));
    }

    #[test]
    fn ages_have_units() {
        assert_eq!(duration("2h"), Some(7_200_000));
        assert_eq!(duration("7D"), Some(604_800_000));
        for bad in ["", "h", "7", "7x", "-1s", "é"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
