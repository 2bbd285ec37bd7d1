//! The history of a message's deaths, and the headers that tell it.
//!
//! <https://www.rabbitmq.com/docs/dlx#effects>; `mc.erl`, `record_death` and `is_cycle_v2`; `mc_amqpl.erl`, `deaths_to_headers`.

use amq_protocol::types::{AMQPValue, FieldArray, FieldTable, LongString, ShortString};

use super::Name;
use super::queue::Reason;

/// All deaths for one reason in one queue.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Death {
    pub(crate) queue: Name,
    pub(crate) reason: Reason,
    pub(crate) count: i64,
    /// Seconds since 1970 of the first of them.
    time: u64,
    exchange: Name,
    /// With the keys of `CC`, without those of `BCC`.
    routing_keys: Vec<Name>,
    original_expiration: Option<String>,
}

/// Where and how a message dies.
#[derive(Debug)]
pub(crate) struct Circumstances<'m> {
    pub(crate) queue: &'m Name,
    pub(crate) reason: Reason,
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// The exchange that the message was last published to.
    pub(crate) exchange: &'m Name,
    /// Its keys, without those of `BCC`.
    pub(crate) routing_keys: Vec<Name>,
    /// Its property `expiration`.
    pub(crate) expiration: Option<String>,
}

/// Records a death; the newest pair of queue and reason comes first.
pub(crate) fn record(deaths: &mut Vec<Death>, how: &Circumstances<'_>) {
    let known = deaths.iter().position(|death| death.queue == *how.queue && death.reason == how.reason);
    let death = if let Some(index) = known {
        let mut death = deaths.remove(index);
        death.count += 1;
        death
    } else {
        Death {
            queue: how.queue.clone(),
            reason: how.reason,
            count: 1,
            time: how.time,
            exchange: how.exchange.clone(),
            routing_keys: how.routing_keys.clone(),
            original_expiration: how.expiration.clone(),
        }
    };
    deaths.insert(0, death);
}

/// Returns whether a message that comes to `target` has gone round without anybody rejecting it.
pub(crate) fn is_cycle(deaths: &[Death], target: &str) -> bool {
    let Some(last) = deaths.iter().position(|death| &*death.queue == target) else { return false };
    deaths[..=last].iter().all(|death| death.reason != Reason::Rejected)
}

/// Writes the headers `x-death`, `x-last-death-*` and, at the first death, `x-first-death-*`.
pub(crate) fn write_headers(
    headers: &mut FieldTable,
    deaths: &[Death],
    how: &Circumstances<'_>,
    is_first: bool,
) {
    let table = deaths.iter().map(|death| AMQPValue::FieldTable(death_table(death))).collect::<Vec<_>>();
    headers.insert("x-death".into(), AMQPValue::FieldArray(FieldArray::from(table)));
    let which: &[&str] = if is_first { &["first", "last"] } else { &["last"] };
    for which in which {
        let mut set = |what: &str, value: &str| {
            headers.insert(ShortString::from(format!("x-{which}-death-{what}")), long_string(value));
        };
        set("reason", how.reason.as_str());
        set("queue", how.queue);
        set("exchange", how.exchange);
    }
}

fn death_table(death: &Death) -> FieldTable {
    let mut table = FieldTable::default();
    let keys = death.routing_keys.iter().map(|key| long_string(key)).collect::<Vec<_>>();
    table.insert("count".into(), AMQPValue::LongLongInt(death.count));
    table.insert("reason".into(), long_string(death.reason.as_str()));
    table.insert("queue".into(), long_string(&death.queue));
    table.insert("time".into(), AMQPValue::Timestamp(death.time));
    table.insert("exchange".into(), long_string(&death.exchange));
    table.insert("routing-keys".into(), AMQPValue::FieldArray(FieldArray::from(keys)));
    if let Some(expiration) = &death.original_expiration {
        table.insert("original-expiration".into(), long_string(expiration));
    }
    table
}

fn long_string(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn die(deaths: &mut Vec<Death>, queue: &str, reason: Reason) {
        let queue: Name = queue.into();
        let exchange = "x".into();
        let how = Circumstances {
            queue: &queue,
            reason,
            time: 1,
            exchange: &exchange,
            routing_keys: vec![],
            expiration: None,
        };
        record(deaths, &how);
    }

    #[test]
    fn the_latest_pair_comes_first_and_counts() {
        let mut deaths = Vec::new();
        die(&mut deaths, "a", Reason::Expired);
        die(&mut deaths, "b", Reason::Rejected);
        die(&mut deaths, "a", Reason::Expired);
        let told: Vec<_> = deaths.iter().map(|death| (&*death.queue, death.reason, death.count)).collect();
        assert_eq!(told, [("a", Reason::Expired, 2), ("b", Reason::Rejected, 1)]);
    }

    #[test]
    fn a_cycle_without_a_rejection_is_a_cycle() {
        let mut deaths = Vec::new();
        die(&mut deaths, "a", Reason::Expired);
        assert!(is_cycle(&deaths, "a"));
        assert!(!is_cycle(&deaths, "b"));
        die(&mut deaths, "b", Reason::Rejected);
        assert!(!is_cycle(&deaths, "a"), "somebody rejected it on the way");
    }
}
