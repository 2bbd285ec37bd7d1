//! Counters that the services write and the view reads.

use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// A counter that anyone may read; it orders nothing.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

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
