//! Who waits for the confirms of one channel, and since when.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    Confirmed, PublishErrorKind,
    command::{Failure, Told, Waiter},
    flight::Settled,
    tracker::Verdict,
};

/// Who waits, by publish number. A map: one overdue confirm costs one entry, however many publishes pass it by.
#[derive(Debug)]
pub(super) struct Waiters {
    entries: BTreeMap<u64, (Waiter, Duration)>,
    /// Every publish below has its outcome or is overdue.
    expired_below: u64,
    overdue: usize,
    all_overdue: Arc<Overdue>,
}

/// The places of the window that overdue confirms hold, over all channels of a client.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    count: AtomicUsize,
    bytes: AtomicU64,
}

// === impl Waiters ===

impl Waiters {
    pub(super) const fn new(all_overdue: Arc<Overdue>) -> Self {
        Self { entries: BTreeMap::new(), expired_below: 0, overdue: 0, all_overdue }
    }

    /// Adds a publish, with the reading of the clock at which its confirm is overdue.
    pub(super) fn add(&mut self, number: u64, waiter: Waiter, due: Duration) {
        self.entries.insert(number, (waiter, due));
    }

    /// Returns how many wait for an outcome.
    pub(super) fn waiting(&self) -> usize {
        self.entries.len() - self.overdue
    }

    /// Returns how many were told that their confirm is overdue, and have none to this hour.
    pub(super) const fn overdue(&self) -> usize {
        self.overdue
    }

    /// Tells the outcome that a verdict means.
    pub(super) fn settle(&mut self, settled: &Settled, verdict: Verdict) {
        let refused = |kind, detail: &'static str| Err(Failure::new(kind, detail));
        self.tell(settled.number, match (settled.nacked, verdict, settled.mandatory) {
            (true, _, _) => refused(
                PublishErrorKind::Nacked,
                "the broker refused it (basic.nack), as a full queue with overflow `reject-publish` does",
            ),
            (false, Verdict::Returned, _) => refused(
                PublishErrorKind::Unroutable,
                "no queue is bound for its routing key; apply the topology or allow unroutable messages",
            ),
            (false, Verdict::Unknown, true) => refused(
                PublishErrorKind::Unknown,
                "the broker confirmed it, but the channel was lost before it was certain that a queue took it",
            ),
            // Of a publish that is not mandatory the broker never says whether a queue took it.
            (false, _, routed) => Ok(Confirmed { routed, latency: Duration::ZERO }),
        });
    }

    /// Tells an outcome, unless one was told before, and frees the place in the window.
    pub(super) fn tell(&mut self, number: u64, outcome: Told) {
        let Some((mut waiter, _)) = self.entries.remove(&number) else { return };
        if waiter.is_told() {
            self.overdue -= 1;
            self.all_overdue.remove(&waiter);
        }
        let latency = waiter.sent.elapsed();
        waiter.tell(outcome.map(|confirmed| Confirmed { latency, ..confirmed }));
    }

    /// Tells everyone whose confirm is overdue at this reading of the clock. Their places stay taken until it comes.
    pub(super) fn expire(&mut self, now: Duration, limit: Duration) {
        // Due in the order of their numbers.
        for (number, (waiter, due)) in self.entries.range_mut(self.expired_below..) {
            if *due > now {
                return;
            }
            self.expired_below = number + 1;
            self.overdue += 1;
            self.all_overdue.add(waiter);
            let detail = format!(
                "no confirm arrived within `publish.confirm_timeout`, {limit:?}; it may or may not be stored"
            );
            waiter.tell(Err(Failure::new(PublishErrorKind::Unknown, detail)));
        }
    }

    /// Returns whether the oldest publish is overdue for as long again as its confirm was waited for.
    pub(super) fn is_overdue_by(&self, now: Duration, limit: Duration) -> bool {
        self.entries.first_key_value().is_some_and(|(_, (_, due))| *due + limit <= now)
    }

    /// Tells everyone who is left that the channel is gone.
    pub(super) fn give_up(&mut self, reason: &str) {
        while let Some((&number, _)) = self.entries.first_key_value() {
            let detail = format!(
                "the channel was given up before a confirm arrived ({reason}); it may or may not be stored"
            );
            self.tell(number, Err(Failure::new(PublishErrorKind::Unknown, detail)));
        }
    }
}

// === impl Overdue ===

impl Overdue {
    /// Returns `true` if overdue confirms hold more than half of a window of this size.
    pub(super) fn clog(&self, window: usize, window_bytes: u64) -> bool {
        self.count.load(Relaxed).saturating_mul(2) > window
            || self.bytes.load(Relaxed).saturating_mul(2) > window_bytes
    }

    fn add(&self, waiter: &Waiter) {
        self.count.fetch_add(1, Relaxed);
        self.bytes.fetch_add(waiter.bytes(), Relaxed);
    }

    fn remove(&self, waiter: &Waiter) {
        self.count.fetch_sub(1, Relaxed);
        self.bytes.fetch_sub(waiter.bytes(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    fn waiter(window: &Arc<Semaphore>) -> (Waiter, oneshot::Receiver<Told>) {
        let (reply, outcome) = oneshot::channel();
        let place = |permits| Arc::clone(window).try_acquire_many_owned(permits).expect("there is room");
        let places = [place(1), place(100)];
        (Waiter { reply: Some(reply), sent: Instant::now(), places, _counted: Arc::default() }, outcome)
    }

    #[test]
    fn an_overdue_confirm_is_told_once_and_holds_its_place_until_it_comes() {
        let (window, overdue) = (Arc::new(Semaphore::new(1000)), Arc::new(Overdue::default()));
        let mut waiters = Waiters::new(Arc::clone(&overdue));
        let (first, mut told) = waiter(&window);
        let (second, _dropped) = waiter(&window);
        waiters.add(0, first, LIMIT);
        waiters.add(1, second, LIMIT * 2);

        waiters.expire(LIMIT, LIMIT);
        let outcome = told.try_recv().expect("it was told");
        assert_eq!(outcome.expect_err("it is overdue").kind, PublishErrorKind::Unknown);
        waiters.expire(LIMIT, LIMIT);
        assert_eq!((waiters.waiting(), waiters.overdue(), window.available_permits()), (1, 1, 798));
        assert!(overdue.clog(1, 1000) && overdue.clog(1000, 199) && !overdue.clog(2, 200));

        let settled = Settled { number: 0, nacked: false, mandatory: true };
        waiters.settle(&settled, Verdict::Routed);
        assert_eq!((waiters.waiting(), waiters.overdue(), window.available_permits()), (1, 0, 899));
        assert!(!overdue.clog(1, 1));
        waiters.give_up("test");
        assert_eq!((waiters.waiting(), window.available_permits()), (0, 1000));
    }
}
