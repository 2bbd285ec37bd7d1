//! A clock that stands still while the broker blocks the connection.

use std::time::{Duration, Instant};

/// A clock that stands still while it is paused; confirm deadlines are read off it.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    started: Instant,
    stood_still: Duration,
    paused_at: Option<Instant>,
}

// === impl Clock ===

impl Clock {
    /// Starts the clock.
    pub(super) const fn start(now: Instant) -> Self {
        Self { started: now, stood_still: Duration::ZERO, paused_at: None }
    }

    /// Pauses the clock, or lets it go on.
    pub(super) fn set_paused(&mut self, paused: bool, now: Instant) {
        match (self.paused_at, paused) {
            (None, true) => self.paused_at = Some(now),
            (Some(since), false) => {
                self.stood_still += now.saturating_duration_since(since);
                self.paused_at = None;
            }
            _ => {}
        }
    }

    /// Returns what the clock shows.
    pub(super) fn reading(&self, now: Instant) -> Duration {
        let until = self.paused_at.unwrap_or(now);
        until.saturating_duration_since(self.started).saturating_sub(self.stood_still)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paused_time_does_not_count() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut clock = Clock::start(start);
        assert_eq!(clock.reading(at(5)), Duration::from_secs(5));
        clock.set_paused(true, at(5));
        assert_eq!(clock.reading(at(100)), Duration::from_secs(5));
        clock.set_paused(true, at(50));
        clock.set_paused(false, at(100));
        assert_eq!(clock.reading(at(107)), Duration::from_secs(12));
    }
}
