//! Length limits: <https://www.rabbitmq.com/docs/maxlength>.
//!
//! Counts ready messages; quorum queues add delayed and held ones. A classic queue refuses what would make it too long
//!  (`rabbit_amqqueue_process.erl`, `will_overflow`); a quorum queue refuses once it is too long, until it is down
//! to 80 % (`rabbit_fifo.erl`, `evaluate_limit`), but only what is tracked: it is the sender that is told to stop
//! (`rabbit_quorum_queue.erl`, `deliver`).

use super::{Discard, Overflow, Queue, QueueKind, Reason};
use crate::core::{Entry, Millis};

impl Queue {
    /// Returns whether the queue refuses a new message.
    pub(super) fn refuses(&self, entry: &Entry, is_tracked: bool) -> bool {
        match (self.settings.overflow, self.declaration.kind) {
            (Overflow::DropHead, _) | (_, QueueKind::Stream) => false,
            (_, QueueKind::Quorum) => is_tracked && self.is_refusing,
            (_, QueueKind::Classic) => self.is_over(1, entry.message.size()),
        }
    }

    /// Drops messages from the head while there are too many, or takes note that there are.
    pub(super) fn trim(&mut self, now: Millis, discards: &mut Vec<Discard>) {
        if self.is_stream() {
            let gone = self.stream.truncate(now, &self.settings);
            discards.extend(gone.into_iter().map(|entry| Discard::new(entry, Reason::MaxLen)));
            return;
        }
        match (self.settings.overflow, self.declaration.kind) {
            (Overflow::DropHead, _) => {
                while self.is_over(0, 0) {
                    let Some(entry) = self.ready.pop() else { break };
                    discards.push(Discard::new(entry, Reason::MaxLen));
                }
            }
            (_, QueueKind::Quorum) => self.is_refusing |= self.is_over(0, 0),
            _ => {}
        }
    }

    /// Messages left: a quorum queue that refuses may accept again.
    pub(super) fn make_room(&mut self) {
        if self.is_refusing {
            let (length, bytes) = self.limited();
            let is_below = |limit: Option<u64>, count: u64| {
                limit.is_none_or(|limit| count <= limit / 5 * 4 + limit % 5 * 4 / 5)
            };
            self.is_refusing = !(is_below(self.settings.max_length, length)
                && is_below(self.settings.max_length_bytes, bytes));
        }
    }

    fn is_over(&self, more: u64, more_bytes: u64) -> bool {
        let is_above = |limit: Option<u64>, count: u64| limit.is_some_and(|limit| count > limit);
        if self.settings.max_length.is_none() && self.settings.max_length_bytes.is_none() {
            return false;
        }
        let (length, bytes) = self.limited();
        is_above(self.settings.max_length, length + more)
            || is_above(self.settings.max_length_bytes, bytes + more_bytes)
    }

    /// Returns the length and the bytes that the limits are about.
    fn limited(&self) -> (u64, u64) {
        let length = self.ready.len() + self.delayed.len() + self.held.len() as u64;
        (length, self.ready.bytes() + self.delayed.bytes() + self.held_bytes)
    }
}
