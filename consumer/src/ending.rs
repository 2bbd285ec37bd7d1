//! How a service ends: cleanly, with work handed back, or by force.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use garenne_transport::{Error, ErrorKind};
use tokio_util::sync::CancellationToken;

/// What the consumers of a service share about its end.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// Cancelled when nothing may go on running.
    cut: CancellationToken,
    /// How many deliveries were given up at the cut.
    cut_short: AtomicU64,
    /// How many deliveries were settled after the stop, and how many could not be.
    settled: AtomicU64,
    stale: AtomicU64,
}

// === impl Ending ===

impl Ending {
    pub(crate) const fn cut(&self) -> &CancellationToken {
        &self.cut
    }

    /// Notes that a delivery was given up at the cut.
    pub(crate) fn cut_short(&self) {
        self.cut_short.fetch_add(1, Relaxed);
    }

    /// Notes deliveries that did not even notice the cut.
    pub(crate) fn abandoned(&self, count: usize) {
        self.cut_short.fetch_add(count as u64, Relaxed);
    }

    /// Notes that a delivery was settled after the stop, or could not be because it had gone stale.
    pub(crate) fn settled(&self, current: bool) {
        let counter = if current { &self.settled } else { &self.stale };
        counter.fetch_add(1, Relaxed);
    }

    /// Returns whether anything was settled after the stop.
    pub(crate) fn settled_after_stop(&self) -> bool {
        self.settled.load(Relaxed) > 0
    }

    /// Returns how the service ended, if not cleanly.
    pub(crate) fn verdict(&self, forced: bool, limit: Duration) -> Result<(), Error> {
        let (cut_short, stale) = (self.cut_short.load(Relaxed), self.stale.load(Relaxed));
        if forced {
            let message = format!(
                "the stop was forced before every handler had ended (messages in hand: {cut_short}); the broker delivers these again"
            );
            return Err(Error::new(ErrorKind::Forced, message));
        }
        if cut_short > 0 {
            let message = format!(
                "not every handler had ended at the drain timeout, {limit:?} (messages in hand: {cut_short}); the broker delivers these \
                 again; raise `Service::drain_timeout` or lower `Consumer::timeout`"
            );
            return Err(Error::new(ErrorKind::HandedBack, message));
        }
        if stale > 0 {
            let message = format!(
                "not every message that was handled could be settled ({stale} could not): the broker had taken these back, at a lost \
                 connection or at its consumer timeout; it delivers them again"
            );
            return Err(Error::new(ErrorKind::HandedBack, message));
        }
        Ok(())
    }
}
