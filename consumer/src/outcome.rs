//! What the handling of a message came to: what the layers see, and what is carried out in the end.

use garenne_shared::Outgoing;

use crate::{Failure, Report};

/// What the handling of a message came to: success or a failure, and what is to be published before the message is settled.
///
/// Every way of handling gives one: a handler that returns, an unknown type, a body that does not decode, a panic, a timeout. Layers see it on
/// its way out and may replace it.
///
/// # Examples
///
/// ```
/// use garenne_consumer::{Failure, Outcome};
///
/// let failed = Outcome::failed(&Failure::dead_letter("no such customer"));
/// assert_eq!(failed.failure().map(|report| report.text()), Some("no such customer".to_owned()));
/// assert!(Outcome::done().is_done());
/// ```
#[derive(Debug, Clone)]
#[must_use = "an outcome that is not returned is lost, and its message with it"]
pub struct Outcome {
    failure: Option<Report>,
    publishes: Vec<Outgoing>,
}

// === impl Outcome ===

impl Outcome {
    /// The message was handled: it is acknowledged.
    pub const fn done() -> Self {
        Self { failure: None, publishes: Vec::new() }
    }

    /// The message was not handled, for this reason.
    pub fn failed(failure: &Failure) -> Self {
        Report::of(failure).into()
    }

    /// Returns whether the message was handled.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.failure.is_none()
    }

    /// Returns why the message was not handled, if it was not.
    #[must_use]
    pub const fn failure(&self) -> Option<&Report> {
        self.failure.as_ref()
    }

    /// Adds a message that is published, and confirmed, before this one is acknowledged.
    ///
    /// A failure publishes nothing. If the broker does not confirm, the message counts as failed and is handled again.
    pub fn publish(mut self, message: Outgoing) -> Self {
        if self.is_done() {
            self.publishes.push(message);
        }
        self
    }

    /// Returns what is to be published before the message is acknowledged, in order.
    #[must_use]
    pub fn publishes(&self) -> &[Outgoing] {
        &self.publishes
    }

    pub(crate) fn with_publishes(publishes: Vec<Outgoing>) -> Self {
        Self { failure: None, publishes }
    }

    /// Notes whose failure it is, if it is one.
    pub(crate) fn of_handler(mut self, handler: &'static str) -> Self {
        if let Some(report) = &mut self.failure {
            report.handler = Some(handler);
        }
        self
    }

    pub(crate) fn into_result(self) -> Result<Vec<Outgoing>, Report> {
        match self.failure {
            None => Ok(self.publishes),
            Some(report) => Err(report),
        }
    }
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Self { failure: Some(report), publishes: Vec::new() }
    }
}

/// Reads the error to text; call it where a panic of the error is caught.
impl From<Result<(), Failure>> for Outcome {
    fn from(result: Result<(), Failure>) -> Self {
        match result {
            Ok(()) => Self::done(),
            Err(failure) => Self::failed(&failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_publishes_nothing() {
        let message = || Outgoing::new("orders", "placed", "x");
        let failed = Outcome::failed(&Failure::retry("no")).publish(message());
        assert_eq!((failed.is_done(), failed.publishes().len()), (false, 0));
        let done = Outcome::done().publish(message()).publish(message());
        assert_eq!((done.is_done(), done.publishes().len()), (true, 2));
    }
}
