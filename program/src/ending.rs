//! How a program ended, as its exit code says it.

use std::{process::ExitCode, time::Duration};

/// A deadline must be a moment that the clock can name.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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

/// Parses how long a program may take to stop after a signal; for `value_parser`.
///
/// # Errors
///
/// Fails if it is no time, or longer than the clock can name.
pub fn stop_timeout(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if time <= LONGEST { Ok(time) } else { Err("it is at most 365 days".to_owned()) }
}

// === impl Ending ===

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(ending as u8)
    }
}
