//! The time of the core: it comes in with every command.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Milliseconds since the broker started, on its virtual clock.
///
/// RabbitMQ counts times to live and timeouts in whole milliseconds: <https://www.rabbitmq.com/docs/ttl>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Millis(pub(crate) u64);

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(millis: Millis) -> Self {
        Self::from_millis(millis.0)
    }
}

/// Adds a time to live or a delay; stops at the end of time.
impl Add<u64> for Millis {
    type Output = Self;

    fn add(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

/// Returns how many milliseconds lie between two times; 0 if the second is later.
impl Sub for Millis {
    type Output = u64;

    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
