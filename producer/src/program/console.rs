//! Standard error and standard output: messages, log, progress and the summary.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use garenne_program::write_line;
use indicatif::{ProgressBar, ProgressStyle};

use super::ledger::{Counts, Summary};

/// What the user sees. The progress bar shows only on a terminal.
#[derive(Debug, Clone)]
pub(crate) struct Console {
    bar: ProgressBar,
}

/// Writes to standard error without tearing the progress bar.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    bar: ProgressBar,
}

// === impl Console ===

impl Console {
    /// Starts the progress bar, if standard error is a terminal.
    pub(crate) fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg} ({per_sec})");
        let bar =
            ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Returns the writer for the log.
    pub(crate) fn writer(&self) -> Writer {
        Writer { bar: self.bar.clone() }
    }

    /// Writes a line to standard error.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| write_line(io::stderr(), line));
    }

    /// Shows how far it is.
    pub(crate) fn progress(&self, counts: &Counts) {
        if self.bar.is_hidden() {
            return;
        }
        let Counts { read, confirmed, .. } = counts;
        let in_flight = counts.in_flight();
        let failed = read - confirmed - in_flight;
        self.bar.set_position(*confirmed);
        self.bar.set_message(format!("confirmed {confirmed}, in flight {in_flight}, not confirmed {failed}"));
    }

    /// Takes the progress bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Ends with the summary.
    pub(crate) fn finish(&self, summary: &Summary, json: bool) {
        self.clear();
        if json {
            let object = serde_json::to_string(summary).expect("numbers and fixed names are always JSON");
            write_line(io::stdout(), &object);
        } else {
            write_line(io::stderr(), &summary.to_string());
        }
    }
}

// === impl Writer ===

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
