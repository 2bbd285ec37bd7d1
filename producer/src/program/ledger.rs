//! What became of every line. The counts always add up.

use std::time::Duration;

use garenne_transport::PublishErrorKind;
use serde::Serialize;

/// What became of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Confirmed,
    Unroutable,
    Nacked,
    Unknown,
    Malformed,
    Unsent,
}

/// How many lines met which fate. `read` is their sum, and what is still in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) read: u64,
    pub(crate) confirmed: u64,
    pub(crate) unroutable: u64,
    pub(crate) nacked: u64,
    pub(crate) unknown: u64,
    pub(crate) malformed: u64,
    pub(crate) unsent: u64,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Confirmed lines a second.
    pub(crate) per_second: f64,
    /// Whether the input was read to its end and every reject written.
    #[serde(skip)]
    pub(crate) whole: bool,
}

// === impl Fate ===

impl Fate {
    /// Returns the fate of a line whose publish failed.
    pub(crate) const fn of(error: PublishErrorKind) -> Self {
        match error {
            PublishErrorKind::Unroutable | PublishErrorKind::NoExchange => Self::Unroutable,
            PublishErrorKind::Nacked | PublishErrorKind::Refused => Self::Nacked,
            PublishErrorKind::TooLarge | PublishErrorKind::Encode => Self::Malformed,
            PublishErrorKind::Blocked | PublishErrorKind::NotSent | PublishErrorKind::Closed => Self::Unsent,
            // `Unknown`, and whatever a later version adds: nothing is promised.
            _ => Self::Unknown,
        }
    }

    /// Returns the name, as in the summary.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unroutable => "unroutable",
            Self::Nacked => "nacked",
            Self::Unknown => "unknown",
            Self::Malformed => "malformed",
            Self::Unsent => "unsent",
        }
    }
}

// === impl Counts ===

impl Counts {
    /// Counts a line that was read.
    pub(crate) const fn read(&mut self) {
        self.read += 1;
    }

    /// Counts what became of a line.
    pub(crate) const fn settle(&mut self, fate: Fate) {
        let count = match fate {
            Fate::Confirmed => &mut self.confirmed,
            Fate::Unroutable => &mut self.unroutable,
            Fate::Nacked => &mut self.nacked,
            Fate::Unknown => &mut self.unknown,
            Fate::Malformed => &mut self.malformed,
            Fate::Unsent => &mut self.unsent,
        };
        *count += 1;
    }

    /// Returns how many lines were read and have no fate yet.
    pub(crate) const fn in_flight(&self) -> u64 {
        let Self { read, confirmed, unroutable, nacked, unknown, malformed, unsent } = *self;
        read - (confirmed + unroutable + nacked + unknown + malformed + unsent)
    }
}

// === impl Summary ===

impl Summary {
    /// Sums up a run that took `elapsed`.
    pub(crate) fn new(counts: Counts, elapsed: Duration, whole: bool) -> Self {
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let per_second = if seconds > 0.0 { counts.confirmed as f64 / seconds } else { 0.0 };
        Self { counts, per_second: (per_second * 10.0).round() / 10.0, whole }
    }

    /// Returns `true` if every line was confirmed and there was no line left.
    pub(crate) const fn is_complete(&self) -> bool {
        self.whole && self.counts.confirmed == self.counts.read
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Counts { read, confirmed, unroutable, nacked, unknown, malformed, unsent } = self.counts;
        write!(
            f,
            "read {read}, confirmed {confirmed}, unroutable {unroutable}, nacked {nacked}, unknown {unknown}, \
             malformed {malformed}, unsent {unsent}; {:.1} per second",
            self.per_second
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FATES: [Fate; 6] =
        [Fate::Confirmed, Fate::Unroutable, Fate::Nacked, Fate::Unknown, Fate::Malformed, Fate::Unsent];

    proptest! {
        #[test]
        fn the_counts_add_up(fates in proptest::collection::vec(0..7_usize, 0..50)) {
            let mut counts = Counts::default();
            let mut open = 0;
            for fate in fates {
                counts.read();
                match FATES.get(fate) {
                    Some(fate) => counts.settle(*fate),
                    None => open += 1,
                }
            }
            prop_assert_eq!(counts.in_flight(), open);
            let all = serde_json::to_value(counts).unwrap();
            let sum: u64 = FATES.iter().map(|fate| all[fate.name()].as_u64().unwrap()).sum();
            prop_assert_eq!(sum + open, counts.read);
        }
    }

    #[test]
    fn only_a_run_with_every_line_confirmed_is_complete() {
        let mut counts = Counts::default();
        assert!(Summary::new(counts, Duration::ZERO, true).is_complete());
        counts.read();
        counts.settle(Fate::Confirmed);
        assert!(Summary::new(counts, Duration::from_secs(2), true).is_complete());
        assert!(!Summary::new(counts, Duration::from_secs(2), false).is_complete(), "interrupted");
        counts.read();
        counts.settle(Fate::Malformed);
        assert!(!Summary::new(counts, Duration::from_secs(2), true).is_complete());
    }

    #[test]
    fn the_summary_is_one_flat_object() {
        let counts = Counts { read: 3, confirmed: 3, ..Counts::default() };
        let json = serde_json::to_string(&Summary::new(counts, Duration::from_secs(2), true)).unwrap();
        assert_eq!(
            json,
            r#"{"read":3,"confirmed":3,"unroutable":0,"nacked":0,"unknown":0,"malformed":0,"unsent":0,"per_second":1.5}"#
        );
    }
}
