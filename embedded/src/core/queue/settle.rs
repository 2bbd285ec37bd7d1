//! How deliveries end or come back.

use super::{Discard, Queue, QueueKind, Reason, Return, delayed};
use crate::core::{ConsumerKey, Entry, Millis};

impl Queue {
    /// A delivery was acknowledged.
    pub(crate) fn ack(&mut self, now: Millis, consumer: Option<&ConsumerKey>, entry: Entry) {
        drop(entry);
        self.release(now, consumer);
    }

    /// A delivery was rejected for good. From a stream nothing is ever removed.
    ///
    /// `basic.reject` counts as a failed delivery, `basic.nack` does not: `rabbit_variable_queue.erl`, `ackfold`; `rabbit_fifo.erl`, `discard`.
    pub(crate) fn reject(
        &mut self,
        now: Millis,
        consumer: Option<&ConsumerKey>,
        mut entry: Entry,
        has_failed: bool,
        discards: &mut Vec<Discard>,
    ) {
        self.release(now, consumer);
        if !self.is_stream() {
            entry.failures += u32::from(has_failed);
            discards.push(Discard::new(entry, Reason::Rejected));
        }
    }

    /// Deliveries come back, in the order in which they went out.
    pub(crate) fn give_back(
        &mut self,
        now: Millis,
        consumer: Option<&ConsumerKey>,
        entries: Vec<Entry>,
        how: Return,
        discards: &mut Vec<Discard>,
    ) {
        for mut entry in entries {
            match (consumer, how) {
                (Some(key), Return::TimedOut) => {
                    self.unacked -= 1;
                    self.consumers.timed_out(key);
                }
                _ => self.release(now, consumer),
            }
            entry.redelivered = true;
            if std::mem::take(&mut entry.has_grace) {
                entry.expires_at = entry.expires_at.map(|at| at.min(now));
            }
            entry.acquired += 1;
            let has_failed = matches!(how, Return::Reject | Return::Lost);
            entry.failures += u32::from(has_failed);
            match self.declaration.kind {
                QueueKind::Stream => {}
                QueueKind::Classic => self.ready.restore(entry),
                QueueKind::Quorum => self.return_to_quorum(now, entry, has_failed, discards),
            }
        }
        if self.is_quorum() {
            // What can be delivered is, before the limits are looked at: `rabbit_fifo.erl`, `checkout`.
            self.is_trim_due = true;
        } else {
            self.trim(now, discards);
        }
    }

    /// `rabbit_fifo.erl`, `return_one`: over the limit it is dead, else it waits for its delay or comes first.
    pub(super) fn return_to_quorum(
        &mut self,
        now: Millis,
        entry: Entry,
        has_failed: bool,
        discards: &mut Vec<Discard>,
    ) {
        if self.settings.delivery_limit.is_some_and(|limit| entry.failures > limit) {
            discards.push(Discard::new(entry, Reason::DeliveryLimit));
            return;
        }
        match delayed::ready_at(now, self.settings.delayed_retry, &entry, has_failed) {
            Some(at) => self.delayed.add(at, entry),
            None => self.ready.give_back(entry),
        }
    }

    /// A consumer settled a delivery that the queue had taken back.
    pub(crate) fn settle_late(&mut self, _now: Millis, consumer: &ConsumerKey) {
        self.consumers.settled_late(consumer);
    }

    pub(super) fn release(&mut self, now: Millis, consumer: Option<&ConsumerKey>) {
        self.unacked -= 1;
        match consumer {
            Some(key) => self.consumers.settled(key),
            None => self.got -= 1,
        }
        if self.unacked == 0 && self.consumers.len() == 0 && self.is_quorum() {
            self.last_used = now;
        }
    }
}
