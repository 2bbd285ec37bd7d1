//! Counters that the services write and the view reads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The consumers, in the order of [`Stats::handled`]: `billing` has two competing ones.
pub(crate) const CONSUMERS: [(&str, usize); 4] =
    [("billing-1", 0), ("billing-2", 0), ("notifications", 1), ("audit", 2)];

/// Counters of one run.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    /// Publishes that await their confirm.
    pub(crate) unconfirmed: Counter,
    /// Publishes that ended.
    pub(crate) published: Counter,
    /// Orders each consumer finished.
    pub(crate) handled: [Counter; CONSUMERS.len()],
    /// Deliveries that the broker had made before.
    pub(crate) redelivered: Counter,
    /// Connections lost and opened anew.
    pub(crate) reconnects: Counter,
    /// Times the proxy cut everything.
    pub(crate) cuts: Counter,
    /// Failed attempts that wait for another.
    pub(crate) retried: Counter,
    /// What billing asks.
    pub(crate) bank: Bank,
}

/// The bank of the demo: it may be away, and take every card.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    away: AtomicBool,
    generous: AtomicBool,
}

/// A counter that anyone may read; it orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

// === impl Bank ===

impl Bank {
    /// Sets whether it is away.
    pub(crate) fn is_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Lets it answer from now on.
    pub(crate) fn answers(&self) {
        self.is_away(false);
    }

    /// Lets it take every card from now on.
    pub(crate) fn accepts_every_card(&self) {
        self.generous.store(true, Ordering::Relaxed);
    }

    /// Returns whether it is away, and whether it takes every card.
    pub(crate) fn mood(&self) -> (bool, bool) {
        (self.away.load(Ordering::Relaxed), self.generous.load(Ordering::Relaxed))
    }
}

// === impl Counter ===

impl Counter {
    /// Adds one.
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one away.
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Reads it.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
