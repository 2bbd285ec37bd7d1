//! A stopwatch that stands still while the broker blocks the connection.

use std::time::{Duration, Instant};

/// A stopwatch that stands still while it is paused; confirm deadlines are read off it.
#[derive(Debug, Clone)]
pub(super) struct Stopwatch {
    started: Instant,
    stood_still: Duration,
    paused_at: Option<Instant>,
}

// === impl Stopwatch ===

impl Stopwatch {
    /// Starts it.
    pub(super) const fn start(now: Instant) -> Self {
        Self { started: now, stood_still: Duration::ZERO, paused_at: None }
    }

    /// Pauses it, or lets it go on.
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

    /// Returns what it shows.
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
        let mut stopwatch = Stopwatch::start(start);
        assert_eq!(stopwatch.reading(at(5)), Duration::from_secs(5));
        stopwatch.set_paused(true, at(5));
        assert_eq!(stopwatch.reading(at(100)), Duration::from_secs(5));
        stopwatch.set_paused(true, at(50));
        stopwatch.set_paused(false, at(100));
        assert_eq!(stopwatch.reading(at(107)), Duration::from_secs(12));
    }
}
