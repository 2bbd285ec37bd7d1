//! Where to begin in a stream.

use std::{
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use garenne_shared::HeaderValue;

/// Where to begin in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With its first message.
    First,
    /// With its last chunk of messages.
    Last,
    /// With what is published from now on.
    Next,
    /// With this offset, or the first one after it that is still there.
    Offset(u64),
    /// With the chunk of this time.
    Time(SystemTime),
}

// === impl Begin ===

impl Begin {
    /// Tells whether it begins behind everything that is there.
    pub(crate) fn is_next(self) -> bool {
        self == Self::Next
    }

    /// Returns the value of the consumer argument `x-stream-offset`.
    pub(crate) fn argument(self) -> HeaderValue {
        match self {
            Self::First => "first".into(),
            Self::Last => "last".into(),
            Self::Next => "next".into(),
            Self::Offset(offset) => i64::try_from(offset).unwrap_or(i64::MAX).into(),
            Self::Time(time) => {
                HeaderValue::Timestamp(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
            }
        }
    }
}

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "first" => return Ok(Self::First),
            "last" => return Ok(Self::Last),
            "next" => return Ok(Self::Next),
            _ => {}
        }
        if let Ok(offset) = text.parse() {
            return Ok(Self::Offset(offset));
        }
        humantime::parse_rfc3339_weak(text).map(Self::Time).map_err(|_| {
            "write `first`, `last`, `next`, an offset, or a time in UTC such as `2026-11-30T12:00:00Z`"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_place_is_read_and_becomes_the_argument_that_the_broker_takes() {
        for (text, place, argument) in [
            ("first", Begin::First, HeaderValue::from("first")),
            ("last", Begin::Last, "last".into()),
            ("next", Begin::Next, "next".into()),
            ("0", Begin::Offset(0), 0_i64.into()),
            ("17", Begin::Offset(17), 17_i64.into()),
            (
                "2026-11-30T12:00:00Z",
                Begin::Time(UNIX_EPOCH + Duration::from_secs(1_796_040_000)),
                HeaderValue::Timestamp(1_796_040_000),
            ),
        ] {
            assert_eq!(text.parse(), Ok(place));
            assert_eq!(place.argument(), argument, "{text}");
        }
        for text in ["", "-1", "end", "2026-13-30", "1.5"] {
            assert!(text.parse::<Begin>().is_err(), "{text}");
        }
    }
}
