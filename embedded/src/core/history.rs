//! What became of every message: the books of the broker.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::queue::{Reason, Return};
use super::{ConsumerKey, Message, Name};

/// Where one queue's copy of a message is, or how it ended. A copy is in exactly one of these states.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// In the queue, or set aside there for a delayed retry.
    Ready,
    /// Delivered and not acknowledged.
    Unacked {
        /// The consumer tag; `None` for `basic.get`.
        consumer: Option<Arc<str>>,
    },
    /// Acknowledged, or delivered without the need of it.
    Acked {
        /// The consumer tag; `None` for `basic.get`.
        consumer: Option<Arc<str>>,
    },
    /// Left the queue for its dead-letter exchange: `rejected`, `expired`, `maxlen` or `delivery_limit`.
    DeadLettered {
        /// Why.
        reason: &'static str,
        /// The queues that it reached; empty if it was dropped because it reached none.
        to: Vec<Arc<str>>,
    },
    /// Left the queue for good: it has no dead-letter exchange, or that does not exist.
    Dropped {
        /// `rejected`, `expired`, `maxlen` or `delivery_limit`.
        reason: &'static str,
    },
    /// Never entered the queue: its length limit refused it, or [`Fault::Nack`](crate::Fault::Nack) did before any queue was found;
    /// then the queue's name is empty.
    Refused,
    /// Purged.
    Purged,
    /// Went with its queue when that was deleted or expired.
    Deleted,
}

/// A delivery that was given back to its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Requeued {
    /// The queue.
    pub queue: Arc<str>,
    /// The consumer tag; `None` for `basic.get`.
    pub consumer: Option<Arc<str>>,
    /// `nack` (`basic.recover` as well), `reject`, `lost` with its channel or connection, or `timeout` of its consumer.
    pub how: &'static str,
}

/// A message in the books.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) message: Arc<Message>,
    /// Whether it came back to its publisher as unroutable.
    pub(crate) is_returned: bool,
    /// Whether the broker itself published it, as a dead letter.
    pub(crate) is_dead_letter: bool,
    /// One for each queue that it reached.
    pub(crate) copies: Vec<(Name, Fate)>,
    /// Where the copy of each queue is in [`Self::copies`], if these are many.
    places: HashMap<Name, usize>,
    /// Its deliveries that were given back, the latest [`REQUEUES_MAX`].
    pub(crate) requeues: Vec<Requeued>,
}

/// How many bytes of bodies are kept: 256 MiB. A test that publishes large messages all night must not run out of memory.
const BYTES_MAX: u64 = 256 << 20;
/// How many copies are kept: a message to thousands of queues is thousands of copies.
const COPIES_MAX: u64 = 1 << 20;
/// From so many copies of one message on they are looked up instead of searched for.
const MANY: usize = 32;
/// How many returns of one message are kept: one that is refused for ever goes round thousands of times a second.
const REQUEUES_MAX: usize = 100;

/// The latest messages, the oldest first; older ones are forgotten.
#[derive(Debug)]
pub(crate) struct History {
    limit: usize,
    /// The bodies of the records.
    bytes: u64,
    /// The copies of the records.
    copies: u64,
    copies_max: u64,
    /// The id of the first record; ids have no gaps.
    first: u64,
    records: VecDeque<Record>,
}

impl Record {
    fn place(&self, queue: &Name) -> Option<usize> {
        if self.copies.len() < MANY {
            return self.copies.iter().position(|(name, _)| name == queue);
        }
        self.places.get(queue).copied()
    }

    fn add(&mut self, queue: &Name, fate: Fate) {
        self.copies.push((queue.clone(), fate));
        let known = self.places.len();
        if self.copies.len() >= MANY {
            let new = self.copies.iter().enumerate().skip(known);
            self.places.extend(new.map(|(place, (name, _))| (name.clone(), place)));
        }
    }
}

impl History {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, copies: 0, copies_max: COPIES_MAX, first: 0, records: VecDeque::new() }
    }

    /// Numbers the next message.
    pub(crate) fn next_id(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Enters a message that was just numbered.
    pub(crate) fn publish(&mut self, message: Arc<Message>, is_dead_letter: bool) {
        debug_assert_eq!(message.id, self.next_id(), "messages are entered in the order of their numbers");
        self.bytes += message.size();
        self.records.push_back(Record {
            message,
            is_returned: false,
            is_dead_letter,
            copies: Vec::new(),
            places: HashMap::new(),
            requeues: Vec::new(),
        });
        let is_large = |history: &Self| history.bytes > BYTES_MAX || history.copies > history.copies_max;
        while self.records.len() > self.limit || (is_large(self) && self.records.len() > 1) {
            let Some(forgotten) = self.records.pop_front() else { break };
            self.bytes -= forgotten.message.size();
            self.copies -= forgotten.copies.len() as u64;
            self.first += 1;
        }
    }

    /// Notes that a message was returned.
    pub(crate) fn returned(&mut self, message: &Message) {
        if let Some(record) = self.record(message) {
            record.is_returned = true;
        }
    }

    /// Notes where a copy is now.
    pub(crate) fn note(&mut self, message: &Message, queue: &Name, fate: impl FnOnce() -> Fate) {
        let Some(record) = self.record(message) else { return };
        match record.place(queue).and_then(|place| record.copies.get_mut(place)) {
            Some((_, state)) => *state = fate(),
            None => {
                record.add(queue, fate());
                self.copies += 1;
            }
        }
    }

    /// Notes that copies left their queue together.
    pub(crate) fn note_all<'m>(
        &mut self,
        messages: impl IntoIterator<Item = &'m Message>,
        queue: &Name,
        fate: &Fate,
    ) {
        for message in messages {
            self.note(message, queue, || fate.clone());
        }
    }

    /// Notes that a delivery was given back.
    pub(crate) fn requeued(
        &mut self,
        message: &Message,
        queue: &Name,
        consumer: Option<&ConsumerKey>,
        how: Return,
    ) {
        let Some(record) = self.record(message) else { return };
        if record.requeues.len() == REQUEUES_MAX {
            record.requeues.remove(0);
        }
        record.requeues.push(Requeued { queue: queue.clone(), consumer: tag(consumer), how: how.as_str() });
    }

    /// Returns the records, the oldest first.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    fn record(&mut self, message: &Message) -> Option<&mut Record> {
        let index = usize::try_from(message.id.checked_sub(self.first)?).ok()?;
        self.records.get_mut(index)
    }
}

/// Returns the tag of a consumer as the books hold it.
pub(crate) fn tag(consumer: Option<&ConsumerKey>) -> Option<Name> {
    consumer.map(|key| key.tag.clone())
}

/// Returns what is noted when a copy leaves its queue for `reason`; `to` is `None` without a dead-letter exchange.
pub(crate) fn left(reason: Reason, to: Option<&[Name]>) -> Fate {
    match to {
        Some(queues) => Fate::DeadLettered { reason: reason.as_str(), to: queues.to_vec() },
        None => Fate::Dropped { reason: reason.as_str() },
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// Enters so many messages with this body, and returns the ids of those that are kept.
    fn kept(limit: usize, count: u64, body: &Bytes) -> Vec<u64> {
        let mut history = History::new(limit);
        for _ in 0..count {
            let message = Message { id: history.next_id(), body: body.clone(), ..Message::default() };
            history.publish(Arc::new(message), false);
        }
        assert_eq!(history.next_id(), count, "numbers are not given twice");
        history.records().map(|record| record.message.id).collect()
    }

    #[test]
    fn the_oldest_are_forgotten_for_their_copies_and_many_copies_are_found() {
        let mut history = History { copies_max: 1000, ..History::new(100) };
        let queues: Vec<Name> = (0..400).map(|n| n.to_string().into()).collect();
        for _ in 0..4 {
            let message = Arc::new(Message { id: history.next_id(), ..Message::default() });
            history.publish(Arc::clone(&message), false);
            for fate in [Fate::Ready, Fate::Purged] {
                queues.iter().for_each(|queue| history.note(&message, queue, || fate.clone()));
            }
        }
        let found = |record: &Record| (record.message.id, record.copies.len(), record.copies[399].1.clone());
        let records: Vec<_> = history.records().map(found).collect();
        assert_eq!(records, [1, 2, 3].map(|id| (id, 400, Fate::Purged)));
    }

    #[test]
    fn the_oldest_are_forgotten_for_their_number_and_for_their_bytes() {
        assert_eq!(kept(3, 5, &Bytes::new()), [2, 3, 4]);
        assert!(kept(0, 5, &Bytes::new()).is_empty());
        // One body that all of them share, so that the test does not need what it is about.
        let half = Bytes::from(vec![0; 128 << 20]);
        assert_eq!(kept(100, 5, &half), [3, 4]);
        let huge = Bytes::from(vec![0; 300 << 20]);
        assert_eq!(kept(100, 2, &huge), [1], "the latest is always there");
    }
}
