//! `topic`: patterns of words, where `*` is one word and `#` any number of them. <https://www.rabbitmq.com/docs/exchanges#topic>
//!
//! The bindings form a trie of words, so that a message does not have to be compared with each: `rabbit_db_topic_exchange.erl`.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Binding, Destination, Route};
use crate::core::Message;

/// The root of the trie.
#[derive(Debug, Default)]
pub(super) struct Topic {
    root: Node,
}

/// Bindings that end here, and where each word leads.
#[derive(Debug, Default)]
struct Node {
    bindings: Vec<Arc<Binding>>,
    words: HashMap<Box<[u8]>, Node>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.bindings.is_empty() && self.words.is_empty()
    }

    /// Removes a binding below, and the branches that lead nowhere then.
    fn remove(&mut self, pattern: &[&[u8]], binding: &Arc<Binding>) {
        let Some((word, rest)) = pattern.split_first() else {
            self.bindings.retain(|known| !Arc::ptr_eq(known, binding));
            return;
        };
        if let Some(next) = self.words.get_mut(*word) {
            next.remove(rest, binding);
            if next.is_empty() {
                self.words.remove(*word);
            }
        }
    }

    fn route<'r>(&'r self, words: &[&[u8]], to: &mut dyn FnMut(&'r Destination)) {
        if let Some(any) = self.words.get(&b"#"[..]) {
            // The empty rest too: `#` also stands for no word at all.
            for skipped in 0..=words.len() {
                any.route(&words[skipped..], to);
            }
        }
        let Some((word, rest)) = words.split_first() else {
            self.bindings.iter().for_each(|binding| to(&binding.destination));
            return;
        };
        if let Some(next) = self.words.get(&b"*"[..]) {
            next.route(rest, to);
        }
        // A word of the message is never a wildcard.
        if !matches!(*word, b"*" | b"#")
            && let Some(next) = self.words.get(*word)
        {
            next.route(rest, to);
        }
    }
}

/// Splits a key or pattern into words; the empty one has none.
fn words(key: &[u8]) -> Vec<&[u8]> {
    if key.is_empty() { Vec::new() } else { key.split(|byte| *byte == b'.').collect() }
}

impl Route for Topic {
    fn add(&mut self, binding: &Arc<Binding>) {
        let mut node = &mut self.root;
        for word in words(binding.key.as_bytes()) {
            node = node.words.entry(word.into()).or_default();
        }
        node.bindings.push(Arc::clone(binding));
    }

    fn remove(&mut self, binding: &Arc<Binding>) {
        self.root.remove(&words(binding.key.as_bytes()), binding);
    }

    fn route<'r>(&'r self, message: &Message, to: &mut dyn FnMut(&'r Destination)) {
        for key in message.keys() {
            self.root.route(&words(key), to);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, word by word.
    fn matches(pattern: &[&[u8]], key: &[&[u8]]) -> bool {
        match (pattern.split_first(), key.split_first()) {
            (None, None) => true,
            (Some((&b"#", rest)), _) => (0..=key.len()).any(|skipped| matches(rest, &key[skipped..])),
            (Some((&b"*", rest)), Some((_, key))) => matches(rest, key),
            (Some((word, rest)), Some((first, key))) => word == first && matches(rest, key),
            _ => false,
        }
    }

    fn is_routed(topic: &Topic, key: &str) -> bool {
        let message = Message { routing_key: key.as_bytes().into(), ..Message::default() };
        let mut routed = false;
        topic.route(&message, &mut |_| routed = true);
        routed
    }

    fn binding(pattern: &str) -> Arc<Binding> {
        Arc::new(Binding {
            destination: Destination::Queue("q".into()),
            key: pattern.into(),
            arguments: amq_protocol::types::FieldTable::default(),
        })
    }

    #[test]
    fn hash_stands_for_no_word_too() {
        let mut topic = Topic::default();
        topic.add(&binding("a.#"));
        for (key, expected) in [("a", true), ("a.b.c", true), ("", false), ("b.a", false)] {
            assert_eq!(is_routed(&topic, key), expected, "{key}");
        }
    }

    #[test]
    fn nothing_is_left_of_a_removed_binding() {
        let mut topic = Topic::default();
        let binding = binding("a.*.#.b");
        topic.add(&binding);
        topic.remove(&binding);
        assert!(topic.root.is_empty());
    }

    proptest! {
        #[test]
        fn the_trie_agrees_with_the_definition(
            pattern in "([ab*#]?)(\\.[ab*#]?){0,4}",
            key in "([ab]?)(\\.[ab]?){0,4}",
        ) {
            let mut topic = Topic::default();
            topic.add(&binding(&pattern));
            prop_assert_eq!(is_routed(&topic, &key), matches(&words(pattern.as_bytes()), &words(key.as_bytes())));
        }
    }
}
