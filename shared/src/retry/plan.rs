//! The delays that a policy works out by itself, and how they stand in a file.

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize};

/// How the delay grows with the attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Growth {
    /// Doubles each time.
    Exponential,
    /// Grows by the first delay each time.
    Linear,
    /// Stays the same.
    Fixed,
}

/// A policy as it stands in a file. As part of a `Retry` it has been checked, and `max` is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Plan {
    growth: Growth,
    #[serde(with = "humantime_serde")]
    min: Duration,
    #[serde(default, with = "humantime_serde")]
    max: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attempts: Option<u32>,
    #[serde(default)]
    pub(super) jitter: bool,
}

/// Why a plan cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    #[error("a retry delay must grow up to `max`, but `min` is {min:?} and `max` is {max:?}; raise `max`")]
    Empty { min: Duration, max: Duration },
    #[error("a retry delay that grows needs a `max`, such as `30s`")]
    NoMax,
    #[error("a retry delay that grows must begin above zero; set `min`, or take a fixed delay")]
    Zero,
    #[error("a fixed retry delay does not grow, but `min` is {min:?} and `max` is {max:?}; leave `max` out")]
    Fixed { min: Duration, max: Duration },
    #[error("`attempts` counts the first one, so it must be at least 1; 1 means no retry")]
    NoAttempt,
}

// === impl Plan ===

impl Plan {
    pub(super) const fn fixed(delay: Duration) -> Self {
        Self { growth: Growth::Fixed, min: delay, max: Some(delay), attempts: None, jitter: false }
    }

    pub(super) fn growing(growth: Growth, range: RangeInclusive<Duration>) -> Result<Self, PlanError> {
        let (min, max) = range.into_inner();
        Self { growth, min, max: Some(max), attempts: None, jitter: false }.checked()
    }

    pub(super) fn checked(mut self) -> Result<Self, PlanError> {
        let min = self.min;
        match (self.growth, self.max) {
            (Growth::Fixed, Some(max)) if max != min => return Err(PlanError::Fixed { min, max }),
            (Growth::Fixed, _) => self.max = Some(min),
            (_, None) => return Err(PlanError::NoMax),
            (_, Some(_)) if min.is_zero() => return Err(PlanError::Zero),
            (_, Some(max)) if max < min => return Err(PlanError::Empty { min, max }),
            (_, Some(_)) => {}
        }
        if self.attempts == Some(0) {
            return Err(PlanError::NoAttempt);
        }
        Ok(self)
    }

    /// Returns the first and the longest delay, unless they double.
    pub(super) fn linear(&self) -> Option<(Duration, Duration)> {
        match self.growth {
            Growth::Exponential => None,
            Growth::Linear | Growth::Fixed => Some((self.min, self.max.unwrap_or(self.min))),
        }
    }

    /// Returns the delay after `failed` failed attempts, from 1, without regard to the limit of attempts.
    pub(super) fn delay(&self, failed: u32) -> Duration {
        let delay = match self.growth {
            Growth::Exponential => self.min.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1))),
            Growth::Linear => self.min.saturating_mul(failed),
            Growth::Fixed => self.min,
        };
        self.max.map_or(delay, |max| delay.min(max))
    }
}
