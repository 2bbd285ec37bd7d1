//! When something happened last.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// When something happened last, to the millisecond.
#[derive(Debug)]
pub(super) struct Last {
    started: Instant,
    /// Milliseconds since `started`.
    at: AtomicU64,
}

// === impl Last ===

impl Last {
    /// It happens now.
    pub(super) fn now() -> Self {
        Self { started: Instant::now(), at: AtomicU64::new(0) }
    }

    /// It happens again.
    pub(super) fn mark(&self) {
        let at = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.at.store(at, Relaxed);
    }

    /// Returns how long ago it was.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.at.load(Relaxed)))
    }
}
