//! A failure as text: what is logged and what goes into headers. The error itself may panic when it is shown or dropped; this cannot.

use std::{any::Any, time::Duration};

use garenne_shared::{Headers, Retry, header};

use crate::{Decision, Failure, FailureKind};

/// How many sources of an error are kept.
const CHAIN_MAX: usize = 8;

/// A failure as text: what is logged, and what goes into the headers of a dead letter.
#[derive(Debug, Clone)]
pub struct Report {
    pub(crate) decision: Decision,
    pub(crate) kind: FailureKind,
    /// What the error says.
    pub(crate) message: String,
    /// What its sources say, outermost first.
    pub(crate) chain: Vec<String>,
    /// How to try again, if not as the handler or the queue says.
    pub(crate) policy: Option<Box<Retry>>,
    /// The handler that failed, by the name of its type.
    pub(crate) handler: Option<&'static str>,
}

// === impl Report ===

impl Report {
    /// Reads a failure; call it where a panic of the error is caught.
    pub(crate) fn of(failure: &Failure) -> Self {
        let mut next = failure.error().source();
        let sources = std::iter::from_fn(|| {
            let source = next?;
            next = source.source();
            Some(source.to_string())
        });
        Self {
            decision: failure.decision(),
            kind: failure.kind(),
            message: failure.to_string(),
            chain: sources.take(CHAIN_MAX).collect(),
            policy: failure.own_policy().cloned().map(Box::new),
            handler: None,
        }
    }

    /// Makes a report of what this crate found by itself.
    pub(crate) fn new(decision: Decision, kind: FailureKind, message: impl Into<String>) -> Self {
        Self { decision, kind, message: message.into(), chain: Vec::new(), policy: None, handler: None }
    }

    /// Reads what an earlier attempt left in the headers of a message.
    pub(crate) fn recorded(headers: &Headers) -> Self {
        let kind =
            headers.text(header::ERROR_KIND).and_then(FailureKind::parse).unwrap_or(FailureKind::Handler);
        Self::new(Decision::DeadLetter, kind, headers.text(header::ERROR_MESSAGE).unwrap_or_default())
    }

    /// Reports a panic; `what` says where.
    pub(crate) fn panic(what: &str, panic: Box<dyn Any + Send>) -> Self {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a payload that is no text".to_owned());
        // A payload may panic in its turn when it is dropped; what it said is known.
        contain_drop(panic);
        Self::new(Decision::Retry, FailureKind::Panic, format!("{what} panicked: {text}"))
    }

    /// Reports a handler, or a layer around it, that took longer than it may.
    pub(crate) fn too_long(what: &str, limit: Duration) -> Self {
        let message = format!("{what} took longer than its timeout, {limit:?}");
        Self::new(Decision::Retry, FailureKind::Timeout, message)
    }

    /// Returns whether another run at once may fare better: it asked for one, and did not take all its time already.
    pub(crate) fn passes_in_a_moment(&self) -> bool {
        self.decision == Decision::Retry && self.kind != FailureKind::Timeout
    }

    /// Returns what is to become of the message.
    #[must_use]
    pub const fn decision(&self) -> Decision {
        self.decision
    }

    /// Returns what kind of failure it was.
    #[must_use]
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// Returns the error and all its sources in one line.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.message.clone();
        for source in &self.chain {
            text.push_str(": ");
            text.push_str(source);
        }
        text
    }
}

/// Drops a value whose `Drop` may panic; tells whether it did not.
pub(crate) fn contain_drop<T>(value: T) -> bool {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(value))) {
        Ok(()) => true,
        Err(panic) => {
            // A payload that panics in its turn is never dropped.
            let _ = Box::leak(panic);
            false
        }
    }
}
