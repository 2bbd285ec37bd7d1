//! When a consumer stops reading because too much fails, and what it counts for that.

use std::{
    ops::RangeInclusive,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Pauses a consumer while too many of its messages fail, instead of pouring its queue into the dead letters
/// ([`Consumer::kill_switch`](crate::Consumer::kill_switch)).
///
/// When at least [`minimum`](Self::minimum) messages were handled within the [`window`](Self::window), and [`ratio`](Self::ratio) of them or more failed, the
/// consumer unsubscribes and hands back what it has not begun. After a [`pause`](Self::pause) it takes one message, and goes on if that is
/// handled; otherwise it pauses again, for longer.
///
/// A message that fails as such a probe is handed back uncounted, and others are tried meanwhile: an outage costs no message its attempts, and
/// one that always fails keeps nobody from its turn. What the handler gives up for good goes to the dead-letter queue, one at a time. Where
/// no message comes for as long as the pause was, there is nothing to try, and the consumer goes on. RabbitMQ before 4.3 counts what is handed
/// back. The reading of a stream is not paused.
///
/// While it lasts, the health of the client is not ready and says why, and the metric `garenne_consumer_paused` is 1.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use garenne_consumer::{Consumer, KillSwitch};
///
/// let switch = KillSwitch::new().ratio(0.8).window(Duration::from_secs(30)).minimum(50);
/// let consumer = Consumer::new("billing").kill_switch(switch);
/// # let _ = consumer;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a kill switch does nothing until a consumer has it"]
pub struct KillSwitch {
    ratio: f64,
    window: Duration,
    minimum: u32,
    pause: (Duration, Duration),
}

/// The outcomes of one consumer, and whether they call for a pause.
pub(crate) struct Outcomes {
    switch: KillSwitch,
    /// Held for a few field updates and never across an await.
    counts: Mutex<Counts>,
    tripped: Notify,
}

/// What was found when the switch tripped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) failed: u32,
    pub(crate) handled: u32,
}

/// The window, in slices: the oldest is dropped when a new one begins.
#[derive(Debug)]
struct Counts {
    slices: [Found; SLICES],
    at: usize,
    /// When the present slice began.
    since: Instant,
    found: Option<Found>,
}

const SLICES: usize = 10;

// === impl KillSwitch ===

impl Default for KillSwitch {
    fn default() -> Self {
        Self {
            ratio: 0.5,
            window: Duration::from_secs(60),
            minimum: 20,
            pause: (Duration::from_secs(5), Duration::from_secs(60)),
        }
    }
}

impl KillSwitch {
    /// Makes one with the defaults: half of at least 20 messages within 60 s; pauses from 5 s to 60 s.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which part of the messages must fail, above 0 and at most 1. The default is 0.5.
    ///
    /// # Panics
    ///
    /// Panics if it is outside of that: a wiring mistake.
    #[track_caller]
    pub fn ratio(mut self, ratio: f64) -> Self {
        assert!(
            ratio > 0.0 && ratio <= 1.0,
            "the ratio of a kill switch must be above 0 and at most 1, but is {ratio}"
        );
        self.ratio = ratio;
        self
    }

    /// Sets the time that is looked back on, at least 1 s. The default is 60 s.
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window.max(Duration::from_secs(1));
        self
    }

    /// Sets how many messages must have been handled within the window, at least 1. The default is 20.
    pub fn minimum(mut self, minimum: u32) -> Self {
        self.minimum = minimum.max(1);
        self
    }

    /// Sets the first pause and the longest; each is twice as long as the one before. The default is 5 s to 60 s.
    ///
    /// # Panics
    ///
    /// Panics if the range is empty or starts at zero: a wiring mistake.
    #[track_caller]
    pub fn pause(mut self, range: RangeInclusive<Duration>) -> Self {
        let (first, longest) = range.into_inner();
        assert!(
            !first.is_zero() && first <= longest,
            "the pauses of a kill switch must be above zero and not shrink, but are {first:?} to {longest:?}"
        );
        self.pause = (first, longest);
        self
    }

    /// Returns how long to pause after so many probes failed.
    pub(crate) fn pause_after(&self, failed: u32) -> Duration {
        let (first, longest) = self.pause;
        first.saturating_mul(1 << failed.min(20)).min(longest)
    }
}

// === impl Outcomes ===

impl Outcomes {
    pub(crate) fn new(switch: KillSwitch, now: Instant) -> Self {
        Self { switch, counts: Mutex::new(Counts::new(now)), tripped: Notify::new() }
    }

    pub(crate) const fn switch(&self) -> &KillSwitch {
        &self.switch
    }

    /// Counts an outcome.
    pub(crate) fn record(&self, now: Instant, is_done: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let tripped = counts.record(&self.switch, now, is_done);
        drop(counts);
        if tripped {
            self.tripped.notify_one();
        }
    }

    /// Waits until too much has failed, and tells what was found. Cancel safe.
    pub(crate) async fn tripped(&self) -> Found {
        loop {
            if let Some(found) = self.counts.lock().unwrap_or_else(PoisonError::into_inner).found {
                return found;
            }
            self.tripped.notified().await;
        }
    }

    /// Forgets everything: the consumer goes on.
    pub(crate) fn reset(&self, now: Instant) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = Counts::new(now);
    }
}

// === impl Counts ===

impl Counts {
    const fn new(now: Instant) -> Self {
        Self { slices: [Found { failed: 0, handled: 0 }; SLICES], at: 0, since: now, found: None }
    }

    /// Counts an outcome; returns whether it trips the switch.
    fn record(&mut self, switch: &KillSwitch, now: Instant, is_done: bool) -> bool {
        self.forget(switch.window / SLICES as u32, now);
        let slice = &mut self.slices[self.at];
        slice.handled = slice.handled.saturating_add(1);
        if is_done {
            return false;
        }
        slice.failed = slice.failed.saturating_add(1);
        let sum = |count: fn(&Found) -> u32| self.slices.iter().map(count).fold(0, u32::saturating_add);
        let all = Found { failed: sum(|slice| slice.failed), handled: sum(|slice| slice.handled) };
        let trips = self.found.is_none()
            && all.handled >= switch.minimum
            && f64::from(all.failed) >= switch.ratio * f64::from(all.handled);
        if trips {
            self.found = Some(all);
        }
        trips
    }

    /// Empties the slices whose time is over.
    fn forget(&mut self, slice: Duration, now: Instant) {
        let passed = now.saturating_duration_since(self.since).as_nanos() / slice.as_nanos().max(1);
        if passed == 0 {
            return;
        }
        let emptied = u32::try_from(passed).unwrap_or(u32::MAX).min(SLICES as u32);
        for _ in 0..emptied {
            self.at = (self.at + 1) % SLICES;
            self.slices[self.at] = Found { failed: 0, handled: 0 };
        }
        self.since = if emptied < SLICES as u32 { self.since + slice * emptied } else { now };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn switch() -> KillSwitch {
        KillSwitch::new().ratio(0.5).window(10 * SECOND).minimum(4)
    }

    /// Returns after which outcome the switch trips.
    fn trips(outcomes: &[(u64, bool)]) -> Option<usize> {
        let start = Instant::now();
        let mut counts = Counts::new(start);
        outcomes.iter().position(|(second, is_done)| {
            counts.record(&switch(), start + SECOND * u32::try_from(*second).unwrap(), *is_done)
        })
    }

    #[test]
    fn it_trips_when_enough_of_enough_failed() {
        assert_eq!(trips(&[(0, false), (0, false), (0, false)]), None);
        assert_eq!(trips(&[(0, false), (0, false), (0, false), (0, false)]), Some(3));
        assert_eq!(trips(&[(0, true), (1, true), (2, false), (3, false)]), Some(3));
        assert_eq!(trips(&[(0, true), (1, true), (2, true), (3, false)]), None);
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        assert_eq!(trips(&[(0, false), (0, false), (0, false), (20, false)]), None);
        assert_eq!(
            trips(&[(0, true), (0, true), (0, true), (11, false), (12, false), (13, false), (14, false)]),
            Some(6)
        );
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let switch = KillSwitch::new().pause(SECOND..=5 * SECOND);
        let pauses: Vec<_> =
            [0, 1, 2, 3, u32::MAX].map(|failed| switch.pause_after(failed).as_secs()).to_vec();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
    }

    proptest! {
        /// Compares with a list of everything; the window may be longer by a slice, never shorter.
        #[test]
        fn it_trips_as_a_list_of_all_outcomes_says(steps in proptest::collection::vec((0_u64..4, any::<bool>()), 1..60)) {
            let mut second = 0;
            let outcomes: Vec<_> = steps.into_iter().map(|(later, is_done)| { second += later; (second, is_done) }).collect();
            let within = |end: usize, window: u64| {
                let now = outcomes[end].0;
                let seen: Vec<_> = outcomes[..=end].iter().filter(|(at, _)| at + window > now).collect();
                let failed = seen.iter().filter(|(_, is_done)| !is_done).count();
                !outcomes[end].1 && seen.len() >= 4 && failed * 2 >= seen.len()
            };
            if let Some(end) = trips(&outcomes) {
                prop_assert!((9..=11).any(|window| within(end, window)), "{outcomes:?} {end}");
            } else {
                // All windows that it may have looked at must agree before a missing trip is a fault.
                let sure = |end: &usize| (9..=11).all(|window| within(*end, window));
                prop_assert_eq!((0..outcomes.len()).find(sure), None, "{:?}", outcomes);
            }
        }
    }
}
