//! What a run has done.

use std::fmt;

/// What a run has done so far, in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Taken from the queue.
    pub(crate) read: u64,
    /// Flushed and acknowledged.
    pub(crate) written: u64,
    /// Of those written, delivered before.
    pub(crate) redelivered: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { read, written, redelivered } = self;
        write!(f, "read {read}, written {written}, redelivered {redelivered}")
    }
}
