//! What time does: messages expire, delays end, and the queue itself goes when nobody uses it.
//!
//! <https://www.rabbitmq.com/docs/ttl>

use super::{Discard, Queue, Reason};
use crate::core::Millis;

impl Queue {
    /// Does what is due: messages expire, delayed ones become ready.
    pub(crate) fn expire(&mut self, now: Millis, discards: &mut Vec<Discard>) {
        for entry in self.delayed.take_ready(now) {
            self.ready.give_back(entry);
        }
        self.drop_expired(now, discards);
        if self.is_stream() {
            self.trim(now, discards);
        }
    }

    pub(super) fn drop_expired(&mut self, now: Millis, discards: &mut Vec<Discard>) {
        if self.ready.next_expiry().is_none_or(|at| at > now) {
            return;
        }
        let mut expired = Vec::new();
        self.ready.pop_expired(now, &mut expired);
        discards.extend(expired.into_iter().map(|entry| Discard::new(entry, Reason::Expired)));
        self.make_room();
    }

    /// Returns the earliest time at which [`Self::expire`] has work or the queue itself expires.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        let unused = self.settings.expires.filter(|_| !self.is_used());
        let held = self.held.iter().map(|(at, _)| *at);
        [self.ready.next_expiry(), self.delayed.next(), unused.map(|expires| self.last_used + expires)]
            .into_iter()
            .flatten()
            .chain(held)
            .min()
    }

    /// Returns whether nobody has used the queue for as long as `x-expires` says: <https://www.rabbitmq.com/docs/ttl#queue-ttl>.
    pub(crate) fn is_expired(&self, now: Millis) -> bool {
        self.settings.expires.is_some_and(|expires| !self.is_used() && self.last_used + expires <= now)
    }

    /// Returns whether the queue cannot expire now. To a quorum queue whoever holds a delivery is a consumer, even one that was
    /// cancelled and `basic.get`: `rabbit_fifo.erl`, `is_expired`.
    pub(super) fn is_used(&self) -> bool {
        self.consumers.len() > 0 || (self.is_quorum() && self.unacked > 0)
    }

    /// Somebody used the queue.
    pub(crate) fn touch(&mut self, now: Millis) {
        self.last_used = now;
    }
}
