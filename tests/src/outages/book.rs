//! What came of a plan.

use std::fmt;
use std::time::Duration;

use super::Ledger;
use super::ledger::Sums;

/// One outage that was played.
#[derive(Debug, Clone)]
pub struct Outage {
    /// What happened, in words.
    pub kind: String,
    /// How long after it the next publish was confirmed; `None`: not in a minute.
    pub publishing: Option<Duration>,
    /// How long after it the next message was delivered; `None`: not in a minute.
    pub consuming: Option<Duration>,
}

/// All outages of a run, and what the ledger says.
#[derive(Debug)]
pub struct Book {
    pub(super) outages: Vec<(Outage, Sums)>,
    untruths: Vec<String>,
}

// === impl Outage ===

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |time: Option<Duration>| match time {
            Some(time) => format!("{:.2} s", time.as_secs_f64()),
            None => "never".to_owned(),
        };
        let (publishing, consuming) = (shown(self.publishing), shown(self.consuming));
        write!(f, "{}: publishing {publishing}, consuming {consuming}", self.kind)
    }
}

// === impl Book ===

impl Book {
    pub(super) fn new(outages: Vec<Outage>, ledger: &Ledger) -> Self {
        Self { outages: outages.into_iter().zip(ledger.sums()).collect(), untruths: ledger.untruths() }
    }

    /// Returns how many publishes were confirmed.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.sum(|sums| sums.confirmed)
    }

    /// Returns how many messages were confirmed and never delivered.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.sum(|sums| sums.lost)
    }

    /// Returns how many messages were confirmed and came only to another client, when this one was closed.
    #[must_use]
    pub fn stuck(&self) -> u64 {
        self.sum(|sums| sums.stuck)
    }

    /// Returns how many verdicts were untrue.
    #[must_use]
    pub fn wrong(&self) -> u64 {
        self.sum(|sums| sums.wrong)
    }

    /// Returns the untrue verdicts in words.
    #[must_use]
    pub fn untruths(&self) -> &[String] {
        &self.untruths
    }

    /// Returns the outages after which publishing or consuming did not come back.
    #[must_use]
    pub fn without_end(&self) -> Vec<&Outage> {
        let outages = self.outages.iter().map(|(outage, _)| outage);
        outages.filter(|outage| outage.publishing.is_none() || outage.consuming.is_none()).collect()
    }

    fn sum(&self, of: impl Fn(&Sums) -> u64) -> u64 {
        self.outages.iter().map(|(_, sums)| of(sums)).sum()
    }
}
