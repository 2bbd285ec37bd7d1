//! The account of a run: every line that was read is in flight or has its fate, and rejects are written down.

use std::{cell::RefCell, collections::VecDeque, io, rc::Rc};

use bytes::Bytes;
use garenne_producer::{PublishError, Receipt};
use garenne_program::chain;

use super::{
    addressing::Malformed,
    console::Console,
    ledger::{Counts, Fate},
    rejects::{Reject, Rejects},
};

/// The account of a run. The input writes to it and so does the output, both in one task.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    console: &'a Console,
    inner: RefCell<Inner>,
}

/// Where a line comes from, and what it is.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The file, if there is more than one input.
    pub(crate) file: Option<Rc<str>>,
    /// Counted from 1.
    pub(crate) line: u64,
    /// `None` if it was too long to be kept.
    pub(crate) body: Option<Bytes>,
}

#[derive(Debug)]
struct Inner {
    counts: Counts,
    /// Oldest first; outcomes come in the same order.
    in_flight: VecDeque<Origin>,
    rejects: Option<Rejects>,
}

// === impl Account ===

impl<'a> Account<'a> {
    /// Opens an account.
    pub(crate) fn new(console: &'a Console, rejects: Option<Rejects>) -> Self {
        let inner = Inner { counts: Counts::default(), in_flight: VecDeque::new(), rejects };
        Self { console, inner: RefCell::new(inner) }
    }

    /// Enters a line that is about to be sent.
    pub(crate) fn sent(&self, origin: Origin) {
        let mut inner = self.inner.borrow_mut();
        inner.counts.read();
        inner.in_flight.push_back(origin);
    }

    /// Enters a line that cannot be sent.
    pub(crate) fn malformed(&self, origin: &Origin, error: &Malformed) {
        let mut inner = self.inner.borrow_mut();
        inner.counts.read();
        inner.settle(self.console, origin, Fate::Malformed, &error.to_string());
    }

    /// Enters the outcome of the oldest line in flight.
    pub(crate) fn settled(&self, outcome: &Result<Receipt, PublishError>) {
        let mut inner = self.inner.borrow_mut();
        let origin = inner.in_flight.pop_front().expect("an outcome belongs to a line in flight");
        match outcome {
            Ok(_) => inner.counts.settle(Fate::Confirmed),
            Err(error) => inner.settle(self.console, &origin, Fate::of(error.kind()), &chain(error)),
        }
        self.console.progress(&inner.counts);
    }

    /// Returns the counts so far.
    pub(crate) fn counts(&self) -> Counts {
        self.inner.borrow().counts
    }

    /// Closes the account: what is still in flight is unknown. Also tells whether all rejects are in their file.
    pub(crate) fn close(self) -> (Counts, io::Result<()>) {
        let mut inner = self.inner.into_inner();
        while let Some(origin) = inner.in_flight.pop_front() {
            inner.settle(self.console, &origin, Fate::Unknown, "stopped before its confirm came");
        }
        let written = inner.rejects.as_mut().map_or(Ok(()), Rejects::close);
        (inner.counts, written)
    }
}

// === impl Inner ===

impl Inner {
    fn settle(&mut self, console: &Console, origin: &Origin, fate: Fate, reason: &str) {
        self.counts.settle(fate);
        let Origin { file, line, body } = origin;
        let reason = format!("{}: {reason}", fate.name());
        match file {
            Some(file) => console.say(&format!("{file}: line {line}: {reason}")),
            None => console.say(&format!("line {line}: {reason}")),
        }
        if let Some(rejects) = &mut self.rejects {
            rejects.write(&Reject::new(*line, file.as_deref(), &reason, body.as_deref()));
        }
    }
}
