//! The history of a message's deaths, and the headers that tell it.
//!
//! <https://www.rabbitmq.com/docs/dlx#effects>; `mc.erl`, `record_death` and `is_cycle_v2`; `mc_amqpl.erl`, `deaths_to_headers`.

use super::field::{Field, long_string, write, write_entry};
use super::properties::{Edit, Properties};
use super::queue::Reason;
use super::{Key, Name};

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
    routing_keys: Vec<Key>,
    original_expiration: Option<Vec<u8>>,
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
    pub(crate) routing_keys: Vec<Key>,
    /// Its property `expiration`.
    pub(crate) expiration: Option<Vec<u8>>,
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

/// Returns the properties with the headers `x-death`, `x-last-death-*` and, at the first death, `x-first-death-*`.
pub(crate) fn write_headers(
    properties: &Properties,
    deaths: &[Death],
    how: &Circumstances<'_>,
    is_first: bool,
) -> Properties {
    let mut history = Vec::new();
    for death in deaths {
        write(&mut history, Field { kind: b'F', bytes: &death_table(death) });
    }
    let [reason, queue, exchange] =
        [how.reason.as_str(), how.queue, how.exchange].map(|text| Some(long_string(text.as_bytes())));
    let mut edits: Vec<Edit<'_>> = vec![
        (b"x-death", Some(Field { kind: b'A', bytes: &history })),
        (b"x-last-death-reason", reason),
        (b"x-last-death-queue", queue),
        (b"x-last-death-exchange", exchange),
    ];
    if is_first {
        edits.push((b"x-first-death-reason", reason));
        edits.push((b"x-first-death-queue", queue));
        edits.push((b"x-first-death-exchange", exchange));
    }
    properties.with_headers(&edits)
}

/// The entries stand in RabbitMQ's order: `mc_amqpl.erl`, `death_table`.
fn death_table(death: &Death) -> Vec<u8> {
    let mut table = Vec::new();
    let mut keys = Vec::new();
    for key in &death.routing_keys {
        write(&mut keys, long_string(key));
    }
    if let Some(expiration) = &death.original_expiration {
        write_entry(&mut table, b"original-expiration", long_string(expiration));
    }
    write_entry(&mut table, b"count", Field { kind: b'l', bytes: &death.count.to_be_bytes() });
    write_entry(&mut table, b"reason", long_string(death.reason.as_str().as_bytes()));
    write_entry(&mut table, b"queue", long_string(death.queue.as_bytes()));
    write_entry(&mut table, b"time", Field { kind: b'T', bytes: &death.time.to_be_bytes() });
    write_entry(&mut table, b"exchange", long_string(death.exchange.as_bytes()));
    write_entry(&mut table, b"routing-keys", Field { kind: b'A', bytes: &keys });
    table
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
