//! What is remembered of messages, within bounds: the entries used last stay.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    mem,
};

use garenne_shared::Incoming;

use super::Entry;

/// How many messages are remembered at least; twice as many at most.
const KEPT: usize = 5_000;

/// The entries, in two generations: when the younger is full, the older goes.
///
/// A message is recognized by its id, its address and its body together: an id that publishers chose twice must not mix two messages.
#[derive(Debug, Default)]
pub(super) struct Memory {
    hasher: RandomState,
    young: HashMap<u64, Entry>,
    old: HashMap<u64, Entry>,
}

// === impl Memory ===

impl Memory {
    /// Returns the entry of a message, if there is one.
    pub(super) fn get(&mut self, incoming: &Incoming) -> Option<&mut Entry> {
        let key = self.key(incoming)?;
        self.young.get_mut(&key).or_else(|| self.old.get_mut(&key))
    }

    /// Returns the entry of a message, a new one if need be.
    pub(super) fn entry(&mut self, incoming: &Incoming) -> &mut Entry {
        let key = self.hash(incoming);
        let before = self.old.remove(&key);
        if self.young.len() >= KEPT && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.entry(key).or_insert_with(|| before.unwrap_or_default())
    }

    /// Removes the entry of a message if it is as asked; returns whether it was.
    pub(super) fn remove_if(&mut self, incoming: &Incoming, wanted: impl Fn(&Entry) -> bool) -> bool {
        let Some(key) = self.key(incoming) else { return false };
        [&mut self.young, &mut self.old].into_iter().any(|entries| {
            let found = entries.get(&key).is_some_and(&wanted);
            found && entries.remove(&key).is_some()
        })
    }

    /// Returns the key of a message, unless nothing is remembered: hashing a body takes a while.
    fn key(&self, incoming: &Incoming) -> Option<u64> {
        let empty = self.young.is_empty() && self.old.is_empty();
        (!empty).then(|| self.hash(incoming))
    }

    fn hash(&self, incoming: &Incoming) -> u64 {
        let Incoming { exchange, routing_key, metadata, body, .. } = incoming;
        self.hasher.hash_one((&metadata.message_id, exchange, routing_key, body))
    }
}
