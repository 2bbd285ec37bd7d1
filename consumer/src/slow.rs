//! Handlers that come near their timeout.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use garenne_shared::QueueName;

/// After how many handlings the count begins anew.
const ROUND: u32 = 1000;
/// Fewer handlings than these do not tell what one in a hundred takes.
const LEAST: u32 = 100;

/// Counts handlings that take more than half of their timeout, and warns when they are more than one in a hundred.
#[derive(Debug)]
pub(crate) struct Slow {
    timeout: Duration,
    handled: AtomicU32,
    slow: AtomicU32,
    told: AtomicBool,
}

// === impl Slow ===

impl Slow {
    pub(crate) const fn new(timeout: Duration) -> Self {
        Self { timeout, handled: AtomicU32::new(0), slow: AtomicU32::new(0), told: AtomicBool::new(false) }
    }

    /// Notes how long a handling took.
    pub(crate) fn note(&self, queue: &QueueName, took: Duration) {
        if self.count(took) {
            tracing::warn!(
                %queue, timeout = ?self.timeout,
                "more than one in a hundred handlers takes longer than half of its timeout: look for the cause, or raise `Consumer::timeout`"
            );
        }
    }

    /// Counts a handling; returns whether it is time to warn.
    fn count(&self, took: Duration) -> bool {
        let handled = self.handled.fetch_add(1, Relaxed) + 1;
        let is_slow = took > self.timeout / 2;
        let slow = if is_slow { self.slow.fetch_add(1, Relaxed) + 1 } else { 0 };
        let warn = slow.saturating_mul(100) > handled.max(LEAST) && !self.told.swap(true, Relaxed);
        if handled >= ROUND {
            self.handled.store(0, Relaxed);
            if self.slow.swap(0, Relaxed).saturating_mul(100) <= handled {
                self.told.store(false, Relaxed);
            }
        }
        warn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_secs(5);
    const SLOW: Duration = Duration::from_millis(5001);

    fn warnings(slow: &Slow, took: impl Iterator<Item = Duration>) -> usize {
        took.filter(|took| slow.count(*took)).count()
    }

    #[test]
    fn one_in_a_hundred_may_be_slow() {
        let slow = Slow::new(Duration::from_secs(10));
        let one_of = |every: usize| (1..=10_000).map(move |n| if n % every == 0 { SLOW } else { FAST });
        assert_eq!(warnings(&slow, one_of(100)), 0);
        assert_eq!(warnings(&slow, one_of(50)), 1);
        // It warns again after it was better.
        assert_eq!(warnings(&slow, one_of(1000)), 0);
        assert_eq!(warnings(&slow, one_of(10)), 1);
    }

    #[test]
    fn a_single_slow_one_says_nothing() {
        let slow = Slow::new(Duration::from_secs(10));
        assert_eq!(warnings(&slow, std::iter::once(SLOW)), 0);
        assert_eq!(warnings(&slow, std::iter::once(SLOW)), 1);
    }
}
