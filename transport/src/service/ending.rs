//! How a program ended, as its exit code says it.

use std::process::ExitCode;

/// How a program ended, as its exit code says it. Wrong usage is 2, as everywhere with clap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Ending {
    /// Everything is done that was asked for.
    Clean = 0,
    /// Something failed, and no signal was the reason.
    Failed = 1,
    /// A signal ended it in order, and work is left for the next run: it was handed back, or told line by line.
    HandedBack = 3,
    /// A second signal ended it at once.
    Forced = 4,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending as u8)
    }
}
