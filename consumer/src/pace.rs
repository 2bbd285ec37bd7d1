//! How many messages a consumer may begin in a time.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use garenne_transport::{Client, Notice};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter, clock::Clock as _};

use crate::work::Work;

/// How much of the time is let through at once, because timers are not finer than a millisecond.
const BURST: Duration = Duration::from_millis(10);

/// How many messages a consumer may begin in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    count: NonZeroU32,
    per: Duration,
}

/// The rate of a consumer at work.
pub(crate) struct Pace {
    limiter: DefaultDirectRateLimiter,
    rate: Rate,
    work: Arc<Work>,
    /// Lasts while messages have to wait.
    notice: Option<Notice>,
}

// === impl Rate ===

impl Rate {
    /// Makes a rate; `None` if it is no limit.
    pub(crate) fn new(count: u32, per: Duration) -> Option<Self> {
        let count = NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        let each = per / count.get();
        (!each.is_zero()).then_some(Self { count, per })
    }

    fn quota(self) -> Option<Quota> {
        let each = self.per / self.count.get();
        let burst = u32::try_from(BURST.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
        Some(Quota::with_period(each)?.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)))
    }
}

// === impl Pace ===

impl Pace {
    pub(crate) fn new(rate: Rate, work: &Arc<Work>) -> Option<Self> {
        let limiter = RateLimiter::direct(rate.quota()?);
        Some(Self { limiter, rate, work: Arc::clone(work), notice: None })
    }

    /// Waits until another message may begin. Cancel safe: what was not returned is not used up.
    pub(crate) async fn permit(&mut self) {
        let mut waited = false;
        while let Err(too_early) = self.limiter.check() {
            waited = true;
            let wait = too_early.wait_time_from(self.limiter.clock().now());
            if self.notice.is_none() {
                self.notice = Some(self.tell(&self.work.environment.client));
                self.work.metrics.rate_limited();
            }
            self.work.environment.client.clock().sleep(wait).await;
        }
        if !waited {
            self.notice = None;
        }
    }

    fn tell(&self, client: &Client) -> Notice {
        let (queue, Rate { count, per }) = (&self.work.environment.queue, self.rate);
        client.notice(format!(
            "queue `{queue}` is read at its limit, {count} messages in {per:?} (`Consumer::rate_limit`)"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(count: u32, per: Duration, expected: Option<(Duration, u32)>) {
        let quota = Rate::new(count, per).and_then(Rate::quota);
        assert_eq!(quota.map(|quota| (quota.replenish_interval(), quota.burst_size().get())), expected);
    }

    #[test]
    fn a_rate_is_kept_evenly_in_steps_of_the_timer() {
        let second = Duration::from_secs(1);
        check(10, second, Some((Duration::from_millis(100), 1)));
        check(1, 60 * second, Some((60 * second, 1)));
        check(100_000, second, Some((Duration::from_micros(10), 1000)));
        check(0, second, Some((second, 1)));
        check(10, Duration::ZERO, None);
        check(u32::MAX, Duration::from_nanos(1), None);
    }
}
