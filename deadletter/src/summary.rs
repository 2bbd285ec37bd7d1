//! What became of the dead letters of one run.

use garenne_shared::QueueName;

use crate::Looked;

/// The most reasons that a summary names.
const REASONS_MAX: usize = 20;

/// What became of the dead letters of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// How many passed the filter.
    pub selected: u64,
    /// How many left the queue as wanted.
    pub removed: u64,
    /// How many had been replayed too often, and went to this queue.
    pub parked: u64,
    /// How many passed the filter and stay where they are.
    pub kept: u64,
    /// Why, of the first 20 of these.
    pub reasons: Vec<Kept>,
    /// Where those went that had been replayed too often.
    pub parking_queue: Option<QueueName>,
    /// What was looked at.
    pub looked: Looked,
}

/// A dead letter that stays, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Kept {
    /// Its message id, if it has one.
    pub id: Option<String>,
    /// Why it stays.
    pub reason: String,
}

/// What became of one.
#[derive(Debug)]
pub(crate) enum Fate {
    Removed,
    Parked(QueueName),
    Kept(Kept),
}

// === impl Summary ===

impl Summary {
    pub(crate) fn note(&mut self, fate: Fate) {
        self.selected += 1;
        match fate {
            Fate::Removed => self.removed += 1,
            Fate::Parked(queue) => {
                self.parked += 1;
                self.parking_queue = Some(queue);
            }
            Fate::Kept(kept) => {
                self.kept += 1;
                if self.reasons.len() < REASONS_MAX {
                    self.reasons.push(kept);
                }
            }
        }
    }
}
