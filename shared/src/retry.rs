//! Retry policy as a value: how often, and how long to wait in between.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

/// A retry policy: how often something is tried again, and how long to wait before each attempt.
///
/// It is plain data; whoever retries asks it for the next [`delay`](Self::delay).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    growth: Growth,
    #[serde(with = "humantime_serde")]
    min: Duration,
    #[serde(with = "humantime_serde")]
    max: Duration,
    #[serde(default)]
    attempts: Option<u32>,
    #[serde(default)]
    jitter: bool,
}

/// How the delay grows with the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Growth {
    /// Doubles each time.
    Exponential,
    /// Grows by the first delay each time.
    Linear,
    /// Stays the same.
    Fixed,
}

// === impl Retry ===

impl Retry {
    /// Doubles the delay from the start of `range` up to its end. Attempts without limit, no jitter, until set.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty: a wiring mistake.
    #[must_use]
    #[track_caller]
    pub fn exponential(range: RangeInclusive<Duration>) -> Self {
        Self::growing(Growth::Exponential, range)
    }

    /// Grows the delay by the start of `range` each time, up to its end.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty: a wiring mistake.
    #[must_use]
    #[track_caller]
    pub fn linear(range: RangeInclusive<Duration>) -> Self {
        Self::growing(Growth::Linear, range)
    }

    /// Waits the same time before every attempt.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self { growth: Growth::Fixed, min: delay, max: delay, attempts: None, jitter: false }
    }

    /// Never tries again.
    #[must_use]
    pub const fn never() -> Self {
        Self::fixed(Duration::ZERO).attempts(1)
    }

    /// Limits the attempts, the first one included. The default is no limit.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Draws each delay evenly from half of it to all of it, so that many clients do not return in step.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.jitter = jitter;
        self
    }

    /// Returns the limit of attempts, the first one included.
    #[must_use]
    pub const fn max_attempts(&self) -> Option<u32> {
        self.attempts
    }

    /// Returns how long to wait after `failed` failed attempts, or `None` if there is no further attempt.
    #[must_use]
    pub fn delay(&self, failed: u32) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| failed >= attempts) {
            return None;
        }
        let step = failed.saturating_sub(1);
        let delay = match self.growth {
            Growth::Exponential => self.min.saturating_mul(2_u32.saturating_pow(step)),
            Growth::Linear => self.min.saturating_mul(step.saturating_add(1)),
            Growth::Fixed => self.min,
        };
        let delay = delay.min(self.max);
        Some(if self.jitter { delay.mul_f64(0.5 + fastrand::f64() / 2.0) } else { delay })
    }

    #[track_caller]
    fn growing(growth: Growth, range: RangeInclusive<Duration>) -> Self {
        let (min, max) = range.into_inner();
        assert!(min <= max, "a retry range must not be empty, but {min:?} is above {max:?}");
        Self { growth, min, max, attempts: None, jitter: false }
    }
}
