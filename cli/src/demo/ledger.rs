//! Who accounts for every order: what was confirmed, and where it ended.

use std::sync::Mutex;

use garenne::Metadata;

use super::shop::QUEUES;

/// One line for each order.
#[derive(Debug)]
pub(crate) struct Ledger {
    run: String,
    // Locked for a few instructions, never across an await.
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    outcome: Outcome,
    handled: [u16; QUEUES.len()],
    dead_lettered: [bool; QUEUES.len()],
    replayed: u16,
}

/// How a publish ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It has not ended.
    #[default]
    Pending,
    /// The broker confirmed and routed it.
    Confirmed,
    /// The broker had no queue for it.
    Unroutable,
    /// Nothing is known of it, or it was not sent.
    Failed,
}

/// The sums of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Publishes that ended, however.
    pub(crate) published: u64,
    /// Confirmed and routed.
    pub(crate) confirmed: u64,
    /// Reported as unroutable.
    pub(crate) unroutable: u64,
    /// Neither confirmed nor reported as unroutable.
    pub(crate) failed: u64,
    /// Copies found in dead-letter queues.
    pub(crate) dead_lettered: u64,
    /// Copies that were taken out of dead-letter queues and handled again.
    pub(crate) replayed: u64,
    /// Orders that a queue's consumers finished more than once, counted for each further time.
    pub(crate) duplicates: u64,
    /// Confirmed copies that were neither handled nor dead-lettered.
    pub(crate) lost: u64,
}

// === impl Ledger ===

impl Ledger {
    /// Makes the ledger of a run.
    pub(crate) fn new(orders: u32) -> Self {
        let entries = vec![Entry::default(); orders as usize];
        Self { run: Metadata::new_message_id(), entries: Mutex::new(entries) }
    }

    /// Returns how many orders the run has.
    pub(crate) fn orders(&self) -> u32 {
        u32::try_from(self.lock().len()).expect("made from a u32")
    }

    /// Returns the message id of an order in this run.
    pub(crate) fn message_id(&self, order: u32) -> String {
        format!("{}/{order}", self.run)
    }

    /// Returns the order of a message id, or `None` if it is of another run.
    pub(crate) fn order(&self, message_id: Option<&str>) -> Option<u32> {
        let order = message_id?.strip_prefix(&self.run)?.strip_prefix('/')?.parse().ok()?;
        (order < self.orders()).then_some(order)
    }

    /// Notes how the publish of an order ended.
    pub(crate) fn published(&self, order: u32, outcome: Outcome) {
        self.lock()[order as usize].outcome = outcome;
    }

    /// Notes that a consumer of a queue finished an order.
    pub(crate) fn handled(&self, order: u32, queue: usize) {
        let handled = &mut self.lock()[order as usize].handled[queue];
        *handled = handled.saturating_add(1);
    }

    /// Notes that an order lies in the dead-letter queue of a queue.
    pub(crate) fn dead_lettered(&self, order: u32, queue: usize) {
        self.lock()[order as usize].dead_lettered[queue] = true;
    }

    /// Notes that an order was taken out of the dead-letter queue of a queue, to be handled again.
    pub(crate) fn replayed(&self, order: u32, queue: usize) {
        let entry = &mut self.lock()[order as usize];
        entry.dead_lettered[queue] = false;
        entry.replayed += 1;
    }

    /// Returns the sums so far; while messages are under way, `lost` counts those too.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for entry in self.lock().iter() {
            match entry.outcome {
                Outcome::Pending => continue,
                Outcome::Confirmed => totals.confirmed += 1,
                Outcome::Unroutable => totals.unroutable += 1,
                Outcome::Failed => totals.failed += 1,
            }
            totals.published += 1;
            totals.replayed += u64::from(entry.replayed);
            for queue in 0..QUEUES.len() {
                let (handled, dead) = (entry.handled[queue], entry.dead_lettered[queue]);
                totals.duplicates += u64::from(handled.saturating_sub(1));
                totals.dead_lettered += u64::from(dead);
                totals.lost += u64::from(entry.outcome == Outcome::Confirmed && handled == 0 && !dead);
            }
        }
        totals
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confirmed_order_is_lost_until_every_queue_accounts_for_it() {
        let ledger = Ledger::new(2);
        ledger.published(0, Outcome::Confirmed);
        ledger.published(1, Outcome::Unroutable);
        ledger.handled(0, 0);
        ledger.handled(0, 1);
        assert_eq!(ledger.totals().lost, 1);
        ledger.dead_lettered(0, 2);
        let totals = ledger.totals();
        assert_eq!((totals.lost, totals.confirmed, totals.unroutable, totals.dead_lettered), (0, 1, 1, 1));
    }

    #[test]
    fn a_second_handling_is_a_duplicate() {
        let ledger = Ledger::new(1);
        ledger.published(0, Outcome::Confirmed);
        ledger.handled(0, 0);
        ledger.handled(0, 0);
        assert_eq!(ledger.totals().duplicates, 1);
    }

    #[test]
    fn message_ids_of_another_run_are_not_ours() {
        let ledger = Ledger::new(3);
        assert_eq!(ledger.order(Some(&ledger.message_id(2))), Some(2));
        assert_eq!(ledger.order(Some(&ledger.message_id(3))), None);
        assert_eq!(ledger.order(Some("another/2")), None);
        assert_eq!(ledger.order(None), None);
    }
}
