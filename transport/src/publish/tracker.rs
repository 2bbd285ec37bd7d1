//! Which publish was returned? The one place that decides it.
//!
//! lapin keeps returned messages in one FIFO for each channel, and whichever confirm completes next pops the oldest. So the
//! message that a confirm brings is in general another one's. On the wire a return precedes its own confirm, and returns
//! come in publish order; from that follow three rules, each of them never wrong. A publish *b* was routed if its return was not
//! among those popped so far and
//!
//! 1. its own confirm carried nothing: the FIFO was empty then, so a return of *b* had been popped earlier; or
//! 2. its confirm carried a stranger's return, and a confirm that completed later carried nothing; or
//! 3. every publish up to and including *b* has completed: each of them popped one.
//!
//! What "popped earlier" needs is that all confirms that completed earlier have been looked at. Two conditions make sure of it,
//! and until both hold an observation is only held (see [`Tracker::sweep`] and [`Tracker::collected`]):
//!
//! - everything that was woken before the observation has been polled, and
//! - every publish that had begun before it has its confirm in hand, because a publish whose frames are still being written
//!   wakes nobody when its confirm completes.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    hash::Hash,
};

/// The verdicts of one channel. `K` identifies a message, `P` is what the caller keeps with a publish.
#[derive(Debug)]
pub(super) struct Tracker<K, P> {
    /// How many publishes have begun.
    begun: u64,
    /// Begun, and without a cleared observation. A set and not a queue: one confirm that the broker withholds while
    /// others go on must cost one entry, not one for each publish since.
    open: BTreeSet<u64>,
    /// Begun, and without a confirm in hand.
    uncollected: BTreeSet<u64>,
    /// Counts observations; also their order.
    observations: u64,
    /// Observations that were held before this one have been swept.
    swept_below: u64,
    held: VecDeque<Held<K, P>>,
    /// Cleared publishes whose confirm carried a stranger's return, in the order they were cleared.
    strangers: VecDeque<Stranger<K, P>>,
    /// Returns popped and not yet claimed.
    returned: HashMap<K, u32>,
    broken: bool,
}

#[derive(Debug)]
struct Held<K, P> {
    order: u64,
    number: u64,
    /// Every publish below had begun when this one was observed.
    begun_below: u64,
    carried_nothing: bool,
    key: K,
    publish: P,
}

#[derive(Debug)]
struct Stranger<K, P> {
    number: u64,
    /// Observations from this one on completed later.
    later_from: u64,
    key: K,
    publish: P,
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No queue took it.
    Returned,
    /// It was not returned.
    Routed,
    /// The channel died before it could be known.
    Unknown,
}

// === impl Tracker ===

impl<K: Hash + Eq, P> Tracker<K, P> {
    pub(super) fn new() -> Self {
        Self {
            begun: 0,
            open: BTreeSet::new(),
            uncollected: BTreeSet::new(),
            observations: 0,
            swept_below: 0,
            held: VecDeque::new(),
            strangers: VecDeque::new(),
            returned: HashMap::new(),
            broken: false,
        }
    }

    /// Numbers a publish that is about to be polled first.
    pub(super) fn begin(&mut self) -> u64 {
        let number = self.begun;
        self.begun += 1;
        self.open.insert(number);
        self.uncollected.insert(number);
        number
    }

    /// Notes that a publish has its confirm in hand and that this was polled once.
    pub(super) fn collected(&mut self, number: u64) {
        self.uncollected.remove(&number);
    }

    /// Notes that the confirm of a publish completed, and the return that it carried, whoever's that is.
    pub(super) fn completed(&mut self, number: u64, carried: Option<K>, key: K, publish: P) {
        let carried_nothing = carried.is_none();
        if let Some(returned) = carried {
            *self.returned.entry(returned).or_default() += 1;
        }
        let (order, begun_below) = (self.observations, self.begun);
        self.observations += 1;
        self.held.push_back(Held { order, number, begun_below, carried_nothing, key, publish });
    }

    /// Notes that a publish ended without a confirm, because the channel died.
    pub(super) fn failed(&mut self, number: u64) {
        self.broken = true;
        self.uncollected.remove(&number);
        self.open.remove(&number);
    }

    /// Returns a mark if observations are held that no sweep covers yet.
    ///
    /// The caller passes it to [`swept`](Self::swept) once everything that is woken now has been polled.
    pub(super) fn sweep(&self) -> Option<u64> {
        (self.held.back()?.order >= self.swept_below).then_some(self.observations)
    }

    /// Notes that everything woken when the mark was made has been polled.
    pub(super) fn swept(&mut self, mark: u64) {
        self.swept_below = self.swept_below.max(mark);
    }

    /// Hands out every verdict that is certain by now.
    pub(super) fn judge(&mut self, mut tell: impl FnMut(K, P, Verdict)) {
        let collected_below = self.uncollected.first().copied().unwrap_or(self.begun);
        let swept_below = self.swept_below;
        let is_certain =
            |held: &mut Held<K, P>| held.order < swept_below && held.begun_below <= collected_below;
        while let Some(held) = self.held.pop_front_if(is_certain) {
            self.clear(held, &mut tell);
        }
        if !self.broken {
            // Rule 3.
            let completed_below = self.open.first().copied().unwrap_or(self.begun);
            while let Some(stranger) =
                self.strangers.iter().position(|stranger| stranger.number < completed_below)
            {
                let Some(stranger) = self.strangers.remove(stranger) else { break };
                self.verdict(stranger.key, stranger.publish, &mut tell);
            }
        }
    }

    /// Gives up what is still open: the channel is gone and nothing more can complete on it.
    pub(super) fn close(&mut self, mut tell: impl FnMut(K, P, Verdict)) {
        for held in std::mem::take(&mut self.held) {
            if held.carried_nothing {
                self.verdict(held.key, held.publish, &mut tell);
            } else {
                self.last_verdict(held.key, held.publish, &mut tell);
            }
        }
        for stranger in std::mem::take(&mut self.strangers) {
            self.last_verdict(stranger.key, stranger.publish, &mut tell);
        }
    }

    fn clear(&mut self, held: Held<K, P>, tell: &mut impl FnMut(K, P, Verdict)) {
        let Held { order, number, carried_nothing, key, publish, .. } = held;
        self.open.remove(&number);
        if !carried_nothing {
            let later_from = self.observations;
            self.strangers.push_back(Stranger { number, later_from, key, publish });
            return;
        }
        // Rule 1.
        self.verdict(key, publish, tell);
        // Rule 2.
        while self.strangers.front().is_some_and(|stranger| stranger.later_from <= order) {
            let Some(stranger) = self.strangers.pop_front() else { break };
            self.verdict(stranger.key, stranger.publish, tell);
        }
    }

    fn verdict(&mut self, key: K, publish: P, tell: &mut impl FnMut(K, P, Verdict)) {
        let verdict = if self.claim(&key) { Verdict::Returned } else { Verdict::Routed };
        tell(key, publish, verdict);
    }

    fn last_verdict(&mut self, key: K, publish: P, tell: &mut impl FnMut(K, P, Verdict)) {
        let verdict = if self.claim(&key) { Verdict::Returned } else { Verdict::Unknown };
        tell(key, publish, verdict);
    }

    fn claim(&mut self, key: &K) -> bool {
        if self.returned.is_empty() {
            return false;
        }
        let Some(count) = self.returned.get_mut(key) else { return false };
        *count -= 1;
        if *count == 0 {
            self.returned.remove(key);
        }
        true
    }
}

#[cfg(test)]
mod tests;
