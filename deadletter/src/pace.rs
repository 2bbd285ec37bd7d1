//! How many messages are replayed in a second.

use std::num::NonZeroU32;

use garenne_transport::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};

/// How many messages are replayed in a second, evenly.
pub(crate) struct Pace(DefaultDirectRateLimiter);

// === impl Pace ===

impl Pace {
    pub(crate) fn per_second(rate: NonZeroU32) -> Self {
        // Timers are not finer than a millisecond.
        let burst = NonZeroU32::new(rate.get() / 100).unwrap_or(NonZeroU32::MIN);
        Self(RateLimiter::direct(Quota::per_second(rate).allow_burst(burst)))
    }

    /// Waits until another message may begin.
    pub(crate) async fn permit(&self, clock: &Clock) {
        while let Err(too_early) = self.0.check() {
            clock.sleep(too_early.wait_time_from(self.0.clock().now())).await;
        }
    }
}
