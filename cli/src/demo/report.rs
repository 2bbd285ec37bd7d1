//! The table at the end.

use std::{collections::BTreeMap, time::Duration};

use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde::Serialize;

use super::{
    ledger::Ledger,
    stats::{CONSUMERS, Stats},
};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Report {
    /// Orders whose publish ended.
    pub(crate) published: u64,
    /// Confirmed by the broker and routed to a queue.
    pub(crate) confirmed: u64,
    /// Reported as unroutable.
    pub(crate) unroutable: u64,
    /// Neither: the producer was told that it failed.
    pub(crate) failed: u64,
    /// Finished by each consumer.
    pub(crate) handled: BTreeMap<&'static str, u64>,
    /// Deliveries that the broker had made before.
    pub(crate) redelivered: u64,
    /// Copies in dead-letter queues.
    pub(crate) dead_lettered: u64,
    /// Failed attempts that waited for another.
    pub(crate) retried: u64,
    /// Dead letters that were replayed.
    pub(crate) replayed: u64,
    /// Further times that consumers of one queue finished the same order.
    pub(crate) duplicates: u64,
    /// Connections opened after a loss.
    pub(crate) reconnects: u64,
    /// Confirmed copies that no consumer finished and no dead-letter queue holds.
    pub(crate) lost: u64,
    /// Confirmed copies that were still in a queue when a second signal ended the run.
    pub(crate) left: u64,
    /// How long it took.
    pub(crate) seconds: f64,
}

// === impl Report ===

impl Report {
    /// Closes the books.
    pub(crate) fn new(ledger: &Ledger, stats: &Stats, elapsed: Duration, forced: bool) -> Self {
        let totals = ledger.totals();
        Self {
            published: totals.published,
            confirmed: totals.confirmed,
            unroutable: totals.unroutable,
            failed: totals.failed,
            handled: CONSUMERS
                .iter()
                .zip(&stats.handled)
                .map(|(&(name, _), count)| (name, count.get()))
                .collect(),
            redelivered: stats.redelivered.get(),
            dead_lettered: totals.dead_lettered,
            retried: stats.retried.get(),
            replayed: totals.replayed,
            duplicates: totals.duplicates,
            reconnects: stats.reconnects.get(),
            // Nobody waited for them to be handled.
            lost: if forced { 0 } else { totals.lost },
            left: if forced { totals.lost } else { 0 },
            seconds: elapsed.as_secs_f64(),
        }
    }

    /// Prints the report on standard output: a table, or one JSON object.
    #[expect(clippy::print_stdout, reason = "the report is what the demo is run for")]
    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
        } else {
            println!("{}", self.table());
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED);
        let mut row = |name: String, count: u64| {
            table.add_row(vec![name, count.to_string()]);
        };
        row("published".to_owned(), self.published);
        row("confirmed".to_owned(), self.confirmed);
        row("unroutable (reported)".to_owned(), self.unroutable);
        row("failed (reported)".to_owned(), self.failed);
        for (name, count) in &self.handled {
            row(format!("handled by {name}"), *count);
        }
        row("redelivered".to_owned(), self.redelivered);
        row("retried".to_owned(), self.retried);
        row("dead-lettered".to_owned(), self.dead_lettered);
        if self.replayed > 0 {
            row("replayed from the dead letters".to_owned(), self.replayed);
        }
        row("duplicates".to_owned(), self.duplicates);
        row("reconnects".to_owned(), self.reconnects);
        if self.left > 0 {
            row("left in the queues".to_owned(), self.left);
        }
        row("lost".to_owned(), self.lost);
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}
