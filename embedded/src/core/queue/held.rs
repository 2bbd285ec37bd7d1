//! Dead letters that no queue took yet: <https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once-dead-lettering>.

use super::{Discard, Queue};
use crate::core::Millis;

/// How long a dead letter that nobody took waits for the next attempt: `rabbit_fifo_dlx_worker.erl`, `SETTLE_TIMEOUT`.
const HELD_RETRY: u64 = 180_000;

impl Queue {
    /// Keeps a dead letter that nobody took.
    pub(crate) fn hold_discard(&mut self, now: Millis, discard: Discard) {
        self.held_bytes += discard.entry.message.size();
        self.held.push((now + HELD_RETRY, discard));
    }

    /// Takes the dead letters that are to be tried again.
    pub(crate) fn take_held(&mut self, now: Millis) -> Vec<Discard> {
        let due: Vec<_> =
            self.held.extract_if(.., |(at, _)| *at <= now).map(|(_, discard)| discard).collect();
        self.held_bytes -= due.iter().map(|discard| discard.entry.message.size()).sum::<u64>();
        self.make_room();
        due
    }
}
