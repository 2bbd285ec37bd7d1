//! Counts the failed deliveries of a message: what the queue wrote, and what the queue does not count.
//!
//! A header is believed only where the queue wrote it. A publisher's own passes a classic queue untouched, and a quorum queue on the first
//! delivery; there `redelivered` is false, and RabbitMQ 4.3 writes `x-acquired-count` on every later one.

mod memory;

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
};

use garenne_shared::{Headers, Incoming};

use self::memory::Memory;

/// The header in which quorum queues count failed deliveries
/// (<https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>).
const DELIVERY_COUNT: &str = "x-delivery-count";
/// The header in which RabbitMQ 4.3 counts how often a quorum queue handed a message out. A message that was only handed back
/// carries this one alone.
const ACQUIRED_COUNT: &str = "x-acquired-count";

/// How often the count of a message may stand still before the queue is taken for one that does not count. Identical messages share an
/// entry, so once is not enough.
const STUCK_MAX: u32 = 3;

/// The counts of one queue, as far as the broker's own do not tell. Shared by the consumers of a service that read the same queue.
#[derive(Debug)]
pub(crate) struct Tally {
    counts: AtomicU8,
    /// Whether quorum queues of this broker write [`ACQUIRED_COUNT`].
    writes_acquired: AtomicBool,
    /// Held for a look-up and never across an await.
    memory: Mutex<Memory>,
}

/// How often delivery of a message failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// The failed deliveries before this one.
    pub(crate) failures: u32,
    /// How many of them went stale while their handler ran.
    pub(crate) stale: u32,
    /// Whether the queue counts: otherwise all that is known is that there was a delivery before.
    pub(crate) counted: bool,
    /// What the queue wrote.
    written: u32,
}

/// What is remembered of a message.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Failures that the queue did not count.
    uncounted: u32,
    /// Deliveries that went stale while their handler ran; part of `uncounted` where the queue does not count them.
    stale: u32,
    /// What the queue had written when the message was last handed back as failed.
    seen: Option<u32>,
    /// How often that did not grow.
    stuck: u32,
    /// Whether a handler finished it after its delivery had gone stale.
    finished: bool,
}

const UNKNOWN: u8 = 0;
const COUNTS: u8 = 1;
const COUNTS_NOT: u8 = 2;

// === impl Tally ===

impl Tally {
    pub(crate) fn new(counts: Option<bool>) -> Self {
        let counts = match counts {
            None => UNKNOWN,
            Some(true) => COUNTS,
            Some(false) => COUNTS_NOT,
        };
        Self {
            counts: AtomicU8::new(counts),
            writes_acquired: AtomicBool::new(false),
            memory: Mutex::default(),
        }
    }

    /// Notes whether quorum queues of this broker write [`ACQUIRED_COUNT`]; it may change with every connection.
    pub(crate) fn writes_acquired(&self, yes: bool) {
        self.writes_acquired.store(yes, Relaxed);
    }

    /// Counts the failures of a message that was delivered just now.
    pub(crate) fn count(&self, incoming: &Incoming) -> Count {
        if !incoming.redelivered {
            return Count { counted: self.counts.load(Relaxed) != COUNTS_NOT, ..Count::default() };
        }
        let written = self.written(&incoming.metadata.headers);
        if written.is_none() {
            // A queue that counts writes its count on every redelivery.
            self.counts.store(COUNTS_NOT, Relaxed);
        }
        let written = written.unwrap_or(0);
        let mut memory = self.lock();
        let entry = memory.get(incoming).map(|entry| {
            self.compare(entry, written);
            *entry
        });
        let Entry { uncounted, stale, .. } = entry.unwrap_or_default();
        drop(memory);
        let counted = self.counts.load(Relaxed) != COUNTS_NOT;
        let failures = if counted { written.saturating_add(uncounted) } else { uncounted.max(1) };
        Count { failures, stale, counted, written }
    }

    /// Returns how often delivery of a message failed, as far as the queue wrote; `writes_acquired` says whether it would write that too.
    pub(crate) fn written_failures(&self, incoming: &Incoming, writes_acquired: bool) -> u32 {
        self.writes_acquired(writes_acquired);
        if incoming.redelivered { self.written(&incoming.metadata.headers).unwrap_or(0) } else { 0 }
    }

    /// Learns from what the queue wrote since the message was handed back as failed.
    fn compare(&self, entry: &mut Entry, written: u32) {
        let Some(seen) = entry.seen.take() else { return };
        if self.counts.load(Relaxed) != UNKNOWN {
            return;
        }
        if written > seen {
            // What a publisher wrote never grows.
            if seen > 0 {
                self.counts.store(COUNTS, Relaxed);
            }
            return;
        }
        entry.uncounted = entry.uncounted.saturating_add(1);
        entry.stuck += 1;
        if entry.stuck >= STUCK_MAX {
            self.counts.store(COUNTS_NOT, Relaxed);
        }
    }

    /// Notes that a message is handed back as failed.
    pub(crate) fn failed(&self, incoming: &Incoming, count: Count) {
        match self.counts.load(Relaxed) {
            COUNTS => {}
            UNKNOWN => self.lock().entry(incoming).seen = Some(count.written),
            _ => {
                let mut memory = self.lock();
                let entry = memory.entry(incoming);
                entry.uncounted = count.failures.saturating_add(1);
            }
        }
    }

    /// Notes that a delivery went stale in our hands, and whether the queue counts that as a failure.
    pub(crate) fn went_stale(&self, incoming: &Incoming, queue_counts_it: bool) {
        let mut memory = self.lock();
        let entry = memory.entry(incoming);
        entry.stale = entry.stale.saturating_add(1);
        if !queue_counts_it || self.counts.load(Relaxed) == COUNTS_NOT {
            entry.uncounted = entry.uncounted.saturating_add(1);
        }
    }

    /// Notes that a handler finished a message whose delivery had gone stale. Without an id it cannot be told from its like.
    pub(crate) fn finished_late(&self, incoming: &Incoming) {
        if incoming.metadata.message_id.is_some() {
            self.lock().entry(incoming).finished = true;
        }
    }

    /// Tells whether a handler has finished this message already, once.
    pub(crate) fn take_finished(&self, incoming: &Incoming) -> bool {
        incoming.redelivered && self.lock().remove_if(incoming, |entry| entry.finished)
    }

    /// Forgets a message that is done.
    pub(crate) fn forget(&self, incoming: &Incoming) {
        if incoming.redelivered {
            self.lock().remove_if(incoming, |_| true);
        }
    }

    /// Reads the count that the queue wrote, if it did.
    fn written(&self, headers: &Headers) -> Option<u32> {
        if self.counts.load(Relaxed) == COUNTS_NOT {
            return None;
        }
        let count = |name| headers.int(name).and_then(|count| u32::try_from(count).ok());
        let failed = count(DELIVERY_COUNT);
        match count(ACQUIRED_COUNT).filter(|acquired| *acquired > 0) {
            // A publisher's own passes while the queue has none to write; it cannot be above the hand-outs.
            Some(acquired) => Some(failed.unwrap_or(0).min(acquired)),
            None if self.writes_acquired.load(Relaxed) => None,
            None => failed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
