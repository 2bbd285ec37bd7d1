//! How far a publish has come that runs inside of layers, for who drives it from outside.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

const SENT: u8 = 1;
const RETRYING: u8 = 2;

/// The stage that a publish has reached. It is set while its future is polled, and read after that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage(Arc<AtomicU8>);

// === impl Stage ===

impl Stage {
    /// The first attempt was sent.
    pub(crate) fn sent(&self) {
        self.0.fetch_max(SENT, Ordering::Relaxed);
    }

    /// An attempt that was sent failed, and another follows.
    pub(crate) fn retrying(&self) {
        self.0.store(RETRYING, Ordering::Relaxed);
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= SENT
    }

    pub(crate) fn is_retrying(&self) -> bool {
        self.0.load(Ordering::Relaxed) == RETRYING
    }
}
