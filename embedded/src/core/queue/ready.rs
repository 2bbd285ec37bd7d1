//! The messages that wait for a consumer, in the order of their delivery.
//!
//! Priority: <https://www.rabbitmq.com/docs/priority>, <https://www.rabbitmq.com/docs/quorum-queues#priorities>. Requeued messages:
//! a classic queue puts them back in their old place, a quorum queue serves them before everything else, in the order in
//! which they came back (`rabbit_fifo.erl`, `take_next_msg`).

use std::collections::VecDeque;

use crate::core::{Entry, Millis};

/// Ready messages by priority.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Only of a quorum queue.
    returned: VecDeque<Entry>,
    /// By priority; within one by position.
    levels: Vec<VecDeque<Entry>>,
    len: u64,
    bytes: u64,
    expiry: Expiry,
}

/// Where messages expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// At the head of the whole queue: `rabbit_priority_queue.erl`, `dropwhile`.
    Head,
    /// At the head of each priority: `rabbit_fifo.erl`, `expire_batch`.
    EachPriority,
}

impl Ready {
    /// Makes room for priorities up to `max_priority`.
    pub(crate) fn new(max_priority: u8, expiry: Expiry) -> Self {
        let levels = (0..=max_priority).map(|_| VecDeque::new()).collect();
        Self { returned: VecDeque::new(), levels, len: 0, bytes: 0, expiry }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds a message behind those of its priority.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.count(&entry);
        self.level(entry.priority).push_back(entry);
    }

    /// Puts a message back where it was.
    pub(crate) fn restore(&mut self, entry: Entry) {
        self.count(&entry);
        let level = self.level(entry.priority);
        let index = level.partition_point(|other| other.position < entry.position);
        level.insert(index, entry);
    }

    /// Puts a message behind those that came back before, ahead of all others.
    pub(crate) fn give_back(&mut self, entry: Entry) {
        self.count(&entry);
        self.returned.push_back(entry);
    }

    /// Returns the message that is delivered next.
    pub(crate) fn peek(&self) -> Option<&Entry> {
        self.returned.front().or_else(|| self.levels.iter().rev().find_map(VecDeque::front))
    }

    /// Takes the message that is delivered next.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let entry = match self.returned.pop_front() {
            Some(entry) => entry,
            None => self.levels.iter_mut().rev().find_map(VecDeque::pop_front)?,
        };
        self.uncount(&entry);
        Some(entry)
    }

    /// Takes the expired messages at the heads where messages expire.
    pub(crate) fn pop_expired(&mut self, now: Millis, expired: &mut Vec<Entry>) {
        for line in std::iter::once(&mut self.returned).chain(self.levels.iter_mut().rev()) {
            while line.front().and_then(|entry| entry.expires_at).is_some_and(|at| at <= now) {
                if let Some(entry) = line.pop_front() {
                    self.len -= 1;
                    self.bytes -= entry.message.size();
                    expired.push(entry);
                }
            }
            if self.expiry == Expiry::Head && !line.is_empty() {
                return;
            }
        }
    }

    /// Returns when the next message at a head expires.
    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        if self.expiry == Expiry::Head {
            return self.peek().and_then(|entry| entry.expires_at);
        }
        let heads = self.levels.iter().filter_map(VecDeque::front).chain(self.returned.front());
        heads.filter_map(|entry| entry.expires_at).min()
    }

    /// Takes everything, in the order of delivery.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        (self.len, self.bytes) = (0, 0);
        let lines = std::iter::once(&mut self.returned).chain(self.levels.iter_mut().rev());
        lines.flat_map(|line| line.drain(..)).collect()
    }

    fn level(&mut self, priority: u8) -> &mut VecDeque<Entry> {
        let highest = self.levels.len() - 1;
        &mut self.levels[usize::from(priority).min(highest)]
    }

    fn count(&mut self, entry: &Entry) {
        self.len += 1;
        self.bytes += entry.message.size();
    }

    fn uncount(&mut self, entry: &Entry) {
        self.len -= 1;
        self.bytes -= entry.message.size();
    }
}
