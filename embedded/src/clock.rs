//! The broker's clock: it runs, and tests move it.

use std::time::{Duration, Instant};

use crate::core::Millis;

/// The time since the broker started, plus what [`Self::advance`] added.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Instant,
    is_paused: bool,
    advanced: Duration,
}

// === impl Clock ===

impl Clock {
    /// A clock at 0. A paused one moves only by [`Self::advance`].
    pub(crate) fn new(is_paused: bool) -> Self {
        Self { start: Instant::now(), is_paused, advanced: Duration::ZERO }
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Millis {
        let elapsed = if self.is_paused { Duration::ZERO } else { self.start.elapsed() };
        Millis::from(elapsed.saturating_add(self.advanced))
    }

    /// Moves the clock.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.advanced = self.advanced.saturating_add(by);
    }

    /// Returns how long to wait in real time until `deadline`; `None` if waiting does not help.
    pub(crate) fn until(&self, deadline: Millis) -> Option<Duration> {
        // One more millisecond: the clock rounds down.
        (!self.is_paused).then(|| match deadline - self.now() {
            0 => Duration::ZERO,
            millis => Duration::from_millis(millis.saturating_add(1)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paused_clock_moves_only_when_it_is_told() {
        let mut clock = Clock::new(true);
        assert_eq!((clock.now(), clock.until(Millis(5))), (Millis(0), None));
        clock.advance(Duration::from_secs(8 * 3600));
        assert_eq!(clock.now(), Millis(8 * 3_600_000));
    }

    #[test]
    fn a_running_clock_can_be_moved() {
        let mut clock = Clock::new(false);
        clock.advance(Duration::from_secs(3600));
        assert!(clock.now() >= Millis(3_600_000));
        assert_eq!(clock.until(Millis(0)), Some(Duration::ZERO));
        assert!(clock.until(Millis(7_200_000)) <= Some(Duration::from_secs(3601)));
    }
}
