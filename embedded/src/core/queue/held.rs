//! Dead letters that no queue took yet: <https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once-dead-lettering>.

use super::{Discard, Progress, Queue};
use crate::core::Millis;

/// How long a dead letter that nobody took waits for the next attempt: `rabbit_fifo_dlx_worker.erl`, `SETTLE_TIMEOUT`.
const HELD_RETRY: u64 = 180_000;

impl Queue {
    /// Keeps a dead letter that nobody took.
    pub(crate) fn hold_discard(&mut self, now: Millis, discard: Discard) {
        self.held_bytes += discard.entry.message.size();
        self.held.push((now + HELD_RETRY, discard));
    }

    /// Takes the dead letters that are due for the next attempt.
    pub(crate) fn take_due(&mut self, now: Millis) -> Vec<Discard> {
        self.take_held(|at, _| at <= now)
    }

    /// The settings changed: what found no route may find one now (`rabbit_fifo_dlx_worker.erl`, `redeliver_messages`), but all is
    /// lost if the queue is to keep dead letters no longer (`rabbit_fifo_dlx.erl`, `switch_from`).
    pub(super) fn review_held(&mut self, discards: &mut Vec<Discard>) {
        if self.settings.dead_letter_at_least_once {
            discards.append(&mut self.take_held(|_, discard| matches!(discard.progress, Progress::Unsent)));
            return;
        }
        let lost = self.take_held(|_, _| true);
        discards.extend(lost.into_iter().map(|discard| Discard { progress: Progress::Lost, ..discard }));
    }

    pub(super) fn take_held(&mut self, is_taken: impl Fn(Millis, &Discard) -> bool) -> Vec<Discard> {
        let taken = self.held.extract_if(.., |(at, discard)| is_taken(*at, discard));
        let taken: Vec<_> = taken.map(|(_, discard)| discard).collect();
        self.held_bytes -= taken.iter().map(|discard| discard.entry.message.size()).sum::<u64>();
        self.make_room();
        taken
    }
}
