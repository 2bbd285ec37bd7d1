//! Retry policy as a value: how often, and how long to wait in between.

mod custom;
mod plan;

use std::{ops::RangeInclusive, time::Duration};

use serde::{Deserialize, Serialize, Serializer, ser};

use self::{
    custom::Custom,
    plan::{Growth, Plan},
};

/// The longest delay: what is longer is cut to it, so that adding it to the clock never overflows.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A retry policy: how often something is tried again, and how long to wait before each attempt.
///
/// It is plain data; whoever retries asks it for the next [`delay`](Self::delay). No delay is longer than a year.
///
/// In a file it is a table, checked when it is read:
///
/// | key | meaning | default |
/// |---|---|---|
/// | `growth` | `exponential`, `linear` or `fixed` | required |
/// | `min` | the first delay, such as `500ms`; above zero where it grows | required |
/// | `max` | the longest delay, not below `min`; for `fixed` the same as `min` | `min` for `fixed`, else required |
/// | `attempts` | the limit of attempts, the first one included, at least 1 | no limit |
/// | `jitter` | whether each delay is drawn from half of it to all of it | `false` |
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use garenne_shared::Retry;
///
/// let retry = Retry::exponential(Duration::from_secs(1)..=Duration::from_secs(5)).attempts(5);
/// let delays: Vec<_> = (1..=5).map(|failed| retry.delay(failed).map(|delay| delay.as_secs())).collect();
/// assert_eq!(delays, [Some(1), Some(2), Some(4), Some(5), None]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Plan")]
pub struct Retry {
    plan: Plan,
    /// Gives the delays instead of the plan; its limit of attempts and its jitter still hold.
    custom: Option<Custom>,
}

// === impl Retry ===

impl Retry {
    /// Doubles the delay from the start of `range` up to its end. Attempts without limit, no jitter, until set.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty or starts at zero: a wiring mistake.
    #[must_use]
    #[track_caller]
    pub fn exponential(range: RangeInclusive<Duration>) -> Self {
        Self::growing(Growth::Exponential, range)
    }

    /// Grows the delay by the start of `range` each time, up to its end.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty or starts at zero: a wiring mistake.
    #[must_use]
    #[track_caller]
    pub fn linear(range: RangeInclusive<Duration>) -> Self {
        Self::growing(Growth::Linear, range)
    }

    /// Waits the same time before every attempt.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        Self { plan: Plan::fixed(delay), custom: None }
    }

    /// Never tries again.
    #[must_use]
    pub const fn never() -> Self {
        Self::fixed(Duration::ZERO).attempts(1)
    }

    /// Asks a function of your own: it gets the number of failed attempts, from 1, and returns how long to wait before the next
    /// one, or `None` if there is no further attempt.
    ///
    /// Two custom policies are equal only if one is a clone of the other, and a custom policy cannot be serialized.
    ///
    /// # Examples
    ///
    /// A policy of the crate [`backon`](https://docs.rs/backon) serves as it is, because its builders give iterators of delays:
    ///
    /// ```
    /// use std::time::Duration;
    /// use backon::{BackoffBuilder, FibonacciBuilder};
    /// use garenne_shared::Retry;
    ///
    /// let policy = FibonacciBuilder::default().with_max_times(4);
    /// let retry = Retry::custom(move |failed| policy.build().nth(failed as usize - 1));
    /// assert_eq!(retry.delay(4), Some(Duration::from_secs(3)));
    /// assert_eq!(retry.delay(5), None);
    /// ```
    #[must_use]
    pub fn custom(delay: impl Fn(u32) -> Option<Duration> + Send + Sync + 'static) -> Self {
        Self { custom: Some(Custom::new(delay)), ..Self::fixed(Duration::ZERO) }
    }

    /// Takes the delays from a policy of the crate [`backoff`](https://docs.rs/backoff); needs the feature `backoff`.
    ///
    /// `start` makes a fresh policy, of which as many delays are drawn as attempts have failed, at most 1000. A limit of elapsed
    /// time therefore never strikes: limit the [`attempts`](Self::attempts), or give the publisher a deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use backoff::ExponentialBackoffBuilder;
    /// use garenne_shared::Retry;
    ///
    /// let retry = Retry::backoff(|| {
    ///     ExponentialBackoffBuilder::new()
    ///         .with_initial_interval(Duration::from_secs(1))
    ///         .with_multiplier(2.0)
    ///         .with_randomization_factor(0.0)
    ///         .build()
    /// });
    /// assert_eq!(retry.delay(3), Some(Duration::from_secs(4)));
    /// ```
    #[cfg(feature = "backoff")]
    #[must_use]
    pub fn backoff<B: backoff::backoff::Backoff>(start: impl Fn() -> B + Send + Sync + 'static) -> Self {
        Self { custom: Some(Custom::backoff(start)), ..Self::fixed(Duration::ZERO) }
    }

    /// Limits the attempts, the first one included; 0 is the same as 1. The default is no limit.
    #[must_use]
    pub const fn attempts(mut self, attempts: u32) -> Self {
        self.plan.attempts = Some(if attempts == 0 { 1 } else { attempts });
        self
    }

    /// Draws each delay evenly from half of it to all of it, so that many clients do not return in step.
    #[must_use]
    pub const fn jitter(mut self, jitter: bool) -> Self {
        self.plan.jitter = jitter;
        self
    }

    /// Returns the limit of attempts, the first one included.
    #[must_use]
    pub const fn max_attempts(&self) -> Option<u32> {
        self.plan.attempts
    }

    /// Returns the first and the longest delay if each delay is the first one times the number of failures, up to the longest: a linear or
    /// fixed policy without jitter, which a broker can carry out by itself.
    #[must_use]
    pub fn linear_delays(&self) -> Option<(Duration, Duration)> {
        if self.custom.is_some() || self.plan.jitter { None } else { self.plan.linear() }
    }

    /// Returns whether each delay is drawn anew.
    #[must_use]
    pub const fn has_jitter(&self) -> bool {
        self.plan.jitter
    }

    /// Returns whether the delays come from a function, which no file can hold.
    #[must_use]
    pub const fn is_custom(&self) -> bool {
        self.custom.is_some()
    }

    /// Returns how long to wait after `failed` failed attempts, or `None` if there is no further attempt.
    #[must_use]
    pub fn delay(&self, failed: u32) -> Option<Duration> {
        if self.plan.attempts.is_some_and(|attempts| failed >= attempts) {
            return None;
        }
        let failed = failed.max(1);
        let delay = match &self.custom {
            Some(custom) => custom.delay(failed)?,
            None => self.plan.delay(failed),
        };
        let delay = delay.min(LONGEST);
        Some(if self.plan.jitter { delay.mul_f64(0.5 + fastrand::f64() / 2.0) } else { delay })
    }

    #[track_caller]
    fn growing(growth: Growth, range: RangeInclusive<Duration>) -> Self {
        match Plan::growing(growth, range) {
            Ok(plan) => Self { plan, custom: None },
            Err(error) => panic!("{error}"),
        }
    }
}

impl TryFrom<Plan> for Retry {
    type Error = plan::PlanError;

    fn try_from(plan: Plan) -> Result<Self, plan::PlanError> {
        Ok(Self { plan: plan.checked()?, custom: None })
    }
}

impl Serialize for Retry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.custom.is_some() {
            return Err(ser::Error::custom("a custom retry policy is code and cannot be serialized"));
        }
        self.plan.serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
