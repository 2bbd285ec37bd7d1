//! Times as two numbers: the unit of AMQP, and the part of it that is lost on the wire.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment: the whole seconds since the Unix epoch before it, and the nanoseconds since then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) seconds: i64,
    pub(super) nanos: u32,
}

/// A duration: whole milliseconds, and the nanoseconds beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    pub(super) millis: u64,
    pub(super) nanos: u32,
}

/// A time that cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TimeError {
    #[error("a timestamp is at most 2^63 seconds from the Unix epoch, but is {0:?}")]
    Moment(SystemTime),
    #[error("an expiration is at most 2^64 - 1 milliseconds, but is {0:?}")]
    Lifetime(Duration),
    #[error("no time of this system is {0} seconds from the Unix epoch; correct `timestamp_s`")]
    Unknown(i64),
    #[error("`{name}` is the part below one {whole}, at most {limit}, but is {found}")]
    Part { name: &'static str, whole: &'static str, limit: u32, found: u32 },
    #[error("`{part}` stands beside `{whole}`, which is missing")]
    Alone { part: &'static str, whole: &'static str },
}

const NANOS_PER_SECOND: u32 = 1_000_000_000;
const NANOS_PER_MILLI: u32 = 1_000_000;

// === impl Moment ===

impl Moment {
    pub(super) fn of(time: SystemTime) -> Result<Self, TimeError> {
        let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
            Ok(after) => (i128::from(after.as_secs()), after.subsec_nanos()),
            Err(error) => {
                let before = error.duration();
                let seconds = -i128::from(before.as_secs());
                match before.subsec_nanos() {
                    0 => (seconds, 0),
                    nanos => (seconds - 1, NANOS_PER_SECOND - nanos),
                }
            }
        };
        let seconds = i64::try_from(seconds).map_err(|_| TimeError::Moment(time))?;
        Ok(Self { seconds, nanos })
    }

    /// Reads the moment from its two fields.
    pub(super) fn read(seconds: Option<i64>, nanos: Option<u32>) -> Result<Option<SystemTime>, TimeError> {
        let nanos = part(nanos, "timestamp_ns", "second", NANOS_PER_SECOND)?;
        let Some(seconds) = seconds else {
            return alone(nanos, "timestamp_ns", "timestamp_s");
        };
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let second = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
        let nanos = Duration::from_nanos(nanos.unwrap_or_default().into());
        second.and_then(|second| second.checked_add(nanos)).map(Some).ok_or(TimeError::Unknown(seconds))
    }
}

// === impl Lifetime ===

impl Lifetime {
    pub(super) fn of(duration: Duration) -> Result<Self, TimeError> {
        let millis = u64::try_from(duration.as_millis()).map_err(|_| TimeError::Lifetime(duration))?;
        Ok(Self { millis, nanos: duration.subsec_nanos() % NANOS_PER_MILLI })
    }

    /// Reads the duration from its two fields.
    pub(super) fn read(millis: Option<u64>, nanos: Option<u32>) -> Result<Option<Duration>, TimeError> {
        let nanos = part(nanos, "expiration_ns", "millisecond", NANOS_PER_MILLI)?;
        match millis {
            // Far below the longest duration, which has 2^64 seconds.
            Some(millis) => Ok(Some(
                Duration::from_millis(millis) + Duration::from_nanos(nanos.unwrap_or_default().into()),
            )),
            None => alone(nanos, "expiration_ns", "expiration_ms"),
        }
    }
}

fn part(
    nanos: Option<u32>,
    name: &'static str,
    whole: &'static str,
    end: u32,
) -> Result<Option<u32>, TimeError> {
    match nanos {
        Some(found) if found >= end => Err(TimeError::Part { name, whole, limit: end - 1, found }),
        nanos => Ok(nanos),
    }
}

fn alone<T>(nanos: Option<u32>, part: &'static str, whole: &'static str) -> Result<Option<T>, TimeError> {
    if nanos.is_some() { Err(TimeError::Alone { part, whole }) } else { Ok(None) }
}
