//! Messages that come back after a while: <https://www.rabbitmq.com/docs/quorum-queues#delayed-retry>.

use std::collections::BTreeMap;

use super::settings::{DelayedKind, DelayedRetry};
use crate::core::{Entry, Millis};

/// Messages that are set aside, by the time at which they are ready again.
#[derive(Debug, Default)]
pub(crate) struct Delayed {
    waiting: BTreeMap<(Millis, u64), Entry>,
    bytes: u64,
}

impl Delayed {
    pub(crate) fn add(&mut self, ready_at: Millis, entry: Entry) {
        self.bytes += entry.message.size();
        self.waiting.insert((ready_at, entry.position), entry);
    }

    /// Takes the messages whose delay is over.
    pub(crate) fn take_ready(&mut self, now: Millis) -> Vec<Entry> {
        let later = self.waiting.split_off(&(now + 1, 0));
        let ready: Vec<_> = std::mem::replace(&mut self.waiting, later).into_values().collect();
        self.bytes -= ready.iter().map(|entry| entry.message.size()).sum::<u64>();
        ready
    }

    /// Returns when the next delay is over.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.waiting.first_key_value().map(|((at, _), _)| *at)
    }

    pub(crate) fn len(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Returns the bytes of all bodies.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

/// Returns when a message that came back is ready again; `None` if that is now.
///
/// The delay is the shortest times the number of failures, up to the longest: `rabbit_fifo.erl`, `should_delay0` and `calculate_ready_at`.
pub(crate) fn ready_at(
    now: Millis,
    retry: Option<DelayedRetry>,
    entry: &Entry,
    has_failed: bool,
) -> Option<Millis> {
    let DelayedRetry { kind, min, max } = retry?;
    let applies = match kind {
        DelayedKind::All => true,
        DelayedKind::Failed => has_failed,
        DelayedKind::Returned => !has_failed,
    };
    let delay = min.saturating_mul(entry.failures.max(1).into()).min(max);
    applies.then(|| now + delay)
}
