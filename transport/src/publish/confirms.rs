//! Which publish does a confirm or a return speak of? The one place that decides it.
//!
//! A confirm names publishes by number, and a return comes before the confirm of the same message (`rabbit_channel.erl`; AMQP 0-9-1
//! section 1.8.3.3 with RabbitMQ's confirms). A return has no number: it is recognized by its identity, so no two publishes of one
//! identity are ever under way on one channel. From both follows every verdict, in whatever order a broker confirms and returns.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::command::Identity;
use crate::wire::Confirm;

/// The publishes under way on one channel. `P` is what the caller keeps with each.
#[derive(Debug)]
pub(super) struct Confirms<P> {
    /// The number of the first slot. The first publish on a channel has the number 1.
    first: u64,
    /// `None` once confirmed.
    slots: VecDeque<Option<Slot<P>>>,
    open: usize,
    /// Identities are hashes with a secret key already.
    numbers: FxHashMap<Identity, u64>,
}

#[derive(Debug)]
struct Slot<P> {
    identity: Option<Identity>,
    returned: bool,
    publish: P,
}

/// What became of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The broker took it. If it was mandatory, so did a queue.
    Taken,
    /// No queue took it.
    Returned,
    /// The broker refused it.
    Nacked,
}

// === impl Confirms ===

impl<P> Confirms<P> {
    pub(super) fn new() -> Self {
        Self { first: 1, slots: VecDeque::new(), open: 0, numbers: FxHashMap::default() }
    }

    /// Returns how many publishes are not confirmed.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Returns the publish of this identity that is under way. Another one must wait until it is not.
    pub(super) fn get(&self, identity: Option<Identity>) -> Option<&P> {
        let at = self.index(*self.numbers.get(&identity?)?)?;
        Some(&self.slots[at].as_ref()?.publish)
    }

    /// Adds the publish that is sent next.
    pub(super) fn push(&mut self, identity: Option<Identity>, publish: P) {
        let number = self.first + self.slots.len() as u64;
        if let Some(identity) = identity {
            let before = self.numbers.insert(identity, number);
            debug_assert!(before.is_none(), "two publishes of one identity are under way");
        }
        self.slots.push_back(Some(Slot { identity, returned: false, publish }));
        self.open += 1;
    }

    /// Notes a return; `false` if it is of no publish that is under way.
    pub(super) fn returned(&mut self, identity: Identity) -> bool {
        let slot = self.numbers.get(&identity).and_then(|number| self.index(*number));
        let Some(slot) = slot.and_then(|at| self.slots[at].as_mut()) else { return false };
        slot.returned = true;
        true
    }

    /// Hands out every verdict that a confirm brings.
    pub(super) fn confirmed(&mut self, confirm: Confirm, mut tell: impl FnMut(P, Verdict)) {
        let Confirm { number, multiple, nacked } = confirm;
        if multiple {
            let end = if number == 0 { self.slots.len() } else { self.index(number).map_or(0, |at| at + 1) };
            for at in 0..end {
                self.settle(at, nacked, &mut tell);
            }
        } else if let Some(at) = self.index(number) {
            self.settle(at, nacked, &mut tell);
        }
        while matches!(self.slots.front(), Some(None)) {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// Iterates over the publishes that are not confirmed, from this number on, in order.
    pub(super) fn from(&mut self, number: u64) -> impl Iterator<Item = (u64, &mut P)> {
        let first = self.first;
        let skipped =
            usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX).min(self.slots.len());
        let numbers = first + skipped as u64..;
        let slots = self.slots.range_mut(skipped..);
        numbers.zip(slots).filter_map(|(number, slot)| Some((number, &mut slot.as_mut()?.publish)))
    }

    /// Gives back every publish that is not confirmed, in order, and forgets them.
    pub(super) fn take(&mut self) -> impl Iterator<Item = P> + use<P> {
        self.first += self.slots.len() as u64;
        self.open = 0;
        self.numbers.clear();
        std::mem::take(&mut self.slots).into_iter().flatten().map(|slot| slot.publish)
    }

    /// Finds the slot of a publish; a number that was never given, or was confirmed long ago, has none.
    fn index(&self, number: u64) -> Option<usize> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (at < self.slots.len()).then_some(at)
    }

    fn settle(&mut self, at: usize, nacked: bool, tell: &mut impl FnMut(P, Verdict)) {
        let Some(Slot { identity, returned, publish }) = self.slots[at].take() else { return };
        self.open -= 1;
        if let Some(identity) = identity {
            self.numbers.remove(&identity);
        }
        let verdict = match (returned, nacked) {
            (true, _) => Verdict::Returned,
            (false, true) => Verdict::Nacked,
            (false, false) => Verdict::Taken,
        };
        tell(publish, verdict);
    }
}

#[cfg(test)]
mod tests;
