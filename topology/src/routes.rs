//! Where a message goes: bindings followed as the broker follows them, as far as they are known.

use std::{borrow::Cow, collections::BTreeSet};

use garenne_shared::{ExchangeName, QueueName, RoutingKey};

use crate::{ExchangeKind, QueueDefinition, Topology, binding::Source};

/// The exchanges that every vhost has.
const PREDEFINED: [(&str, ExchangeKind); 5] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
];

/// Whom a binding must let through to be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follow {
    /// Whatever may pass it.
    Possible,
    /// Only what passes it for certain.
    Certain,
}

/// A topology with its queues looked up by name.
#[derive(Debug)]
pub(crate) struct Routes<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) queues: Vec<Cow<'a, QueueDefinition>>,
}

// === impl Routes ===

impl<'a> Routes<'a> {
    pub(crate) fn new(topology: &'a Topology) -> Self {
        Self { topology, queues: topology.all_queues() }
    }

    pub(crate) fn queue(&self, name: &QueueName) -> Option<&QueueDefinition> {
        self.queues.iter().map(AsRef::as_ref).find(|queue| queue.name() == name)
    }

    /// Returns whether a queue of this name is declared here or by somebody else.
    pub(crate) fn knows_queue(&self, name: &str) -> bool {
        self.queues.iter().any(|queue| queue.name() == name)
            || self.topology.external_queues().iter().any(|queue| queue == name)
    }

    /// Returns whether an exchange of this name is declared here, by somebody else, or by the broker itself.
    pub(crate) fn knows_exchange(&self, name: &ExchangeName) -> bool {
        *name == ExchangeName::DEFAULT
            || self.kind(name).is_some()
            || self.topology.external_exchanges().contains(name)
    }

    /// Returns how an exchange routes, if that is known.
    pub(crate) fn kind(&self, name: &ExchangeName) -> Option<&ExchangeKind> {
        let declared = self.topology.exchanges().iter().find(|exchange| exchange.name == *name);
        declared
            .map(|exchange| &exchange.kind)
            .or_else(|| PREDEFINED.iter().find(|(predefined, _)| *name == *predefined).map(|(_, kind)| kind))
    }

    /// Returns the queues that a queue dead-letters to.
    pub(crate) fn dead_letter_queues(&self, queue: &QueueDefinition, follow: Follow) -> BTreeSet<QueueName> {
        let target = queue.dead_letter().and_then(|to| to.target(queue.name()));
        target.map(|(exchange, key)| self.reached(&exchange, key.as_ref(), follow)).unwrap_or_default()
    }

    /// Returns the queues that a message reaches from an exchange; the key `None` is one that is not known.
    pub(crate) fn reached(
        &self,
        exchange: &ExchangeName,
        key: Option<&RoutingKey>,
        follow: Follow,
    ) -> BTreeSet<QueueName> {
        let (mut queues, mut seen, mut next) = (BTreeSet::new(), BTreeSet::new(), vec![exchange]);
        while let Some(exchange) = next.pop() {
            if !seen.insert(exchange) {
                continue;
            }
            if *exchange == ExchangeName::DEFAULT {
                queues.extend(key.and_then(|key| QueueName::try_from(key.as_str().to_owned()).ok()));
                continue;
            }
            let passes = |source: &Source| source.exchange == *exchange && self.passes(source, key, follow);
            let bound = self.queues.iter().filter(|queue| queue.sources().iter().any(passes));
            queues.extend(bound.map(|queue| queue.name().clone()));
            let exchanges = self.topology.exchanges().iter();
            next.extend(exchanges.filter(|to| to.sources.iter().any(passes)).map(|to| &to.name));
        }
        queues
    }

    fn passes(&self, source: &Source, key: Option<&RoutingKey>, follow: Follow) -> bool {
        let maybe = follow == Follow::Possible;
        match (self.kind(&source.exchange), key) {
            (Some(ExchangeKind::Fanout), _) => true,
            (Some(ExchangeKind::Direct), Some(key)) => source.key == *key,
            (Some(ExchangeKind::Topic), Some(key)) => topic_matches(source.key.as_str(), key.as_str()),
            (Some(ExchangeKind::Topic), None) if source.key == "#" => true,
            _ => maybe,
        }
    }
}

/// Returns whether a topic pattern matches a routing key (AMQP 0-9-1 section 3.1.3.3).
fn topic_matches(pattern: &str, key: &str) -> bool {
    // The empty key has no words, not one empty word.
    let words = |text: &'_ str| -> Vec<String> {
        if text.is_empty() { Vec::new() } else { text.split('.').map(str::to_owned).collect() }
    };
    words_match(&words(pattern), &words(key))
}

fn words_match(pattern: &[String], key: &[String]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((word, rest)) if word == "#" => {
            (0..=key.len()).any(|skipped| words_match(rest, &key[skipped..]))
        }
        Some((word, rest)) => key
            .split_first()
            .is_some_and(|(first, others)| (word == "*" || word == first) && words_match(rest, others)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        for key in matching {
            assert!(topic_matches(pattern, key), "`{pattern}` matches `{key}`");
        }
        for key in other {
            assert!(!topic_matches(pattern, key), "`{pattern}` does not match `{key}`");
        }
    }

    #[test]
    fn topic_patterns_match_as_in_the_specification() {
        check("*.stock.#", &["usd.stock", "eur.stock.db"], &["stock.nasdaq", "stock"]);
        check("#", &["", "a", "a.b.c"], &[]);
        check("*", &["a"], &["", "a.b"]);
        check("a.#.z", &["a.z", "a.b.z", "a.b.c.z"], &["a", "z", "a.b"]);
        check("", &[""], &["a"]);
    }
}
