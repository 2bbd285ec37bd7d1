//! A future whose panics are results, wherever they happen: while it is made, polled or dropped.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    Outcome,
    report::{Report, contain_drop},
    watch::Pulse,
};

/// A part of the handling of one message, contained.
pub(crate) struct Contained<'a, F> {
    /// What it is, for a sentence.
    what: &'static str,
    /// `None` once it has ended, so that it can be dropped at a time of our choosing.
    future: Option<F>,
    /// `None` inside of another part, whose pulse tells.
    pulse: Option<&'a Pulse>,
}

// === impl Contained ===

impl<'a, F> Contained<'a, F>
where
    F: Future<Output: Into<Outcome>> + Unpin,
{
    /// Makes the future, and contains it; a panic while it is made is a failure as any other.
    pub(crate) fn new(
        make: impl FnOnce() -> F,
        pulse: Option<&'a Pulse>,
        what: &'static str,
    ) -> Result<Self, Report> {
        let _beat = pulse.map(Pulse::beat);
        match catch_unwind(AssertUnwindSafe(make)) {
            Ok(future) => Ok(Self { what, future: Some(future), pulse }),
            Err(panic) => Err(Report::panic(what, panic)),
        }
    }

    /// Drops the future at its timeout; what it ends with replaces the timeout if that is a panic.
    pub(crate) fn give_up(mut self, at_timeout: Report) -> Report {
        self.end("dropped at its timeout").map_or(at_timeout, |panic| panic)
    }

    /// Drops the future; returns the panic of that.
    fn end(&mut self, when: &str) -> Option<Report> {
        let what = self.what;
        let future = self.future.take()?;
        let _beat = self.pulse.map(Pulse::beat);
        catch_unwind(AssertUnwindSafe(move || drop(future)))
            .err()
            .map(|panic| Report::panic(&format!("{what}, {when},"), panic))
    }
}

impl<F> Future for Contained<'_, F>
where
    F: Future<Output: Into<Outcome>> + Unpin,
{
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            // Polled after its end, which nobody does.
            return Poll::Pending;
        };
        let polled = {
            let _beat = this.pulse.map(Pulse::beat);
            // The error is read and dropped in here, because both are code of the service.
            catch_unwind(AssertUnwindSafe(|| Pin::new(future).poll(cx).map(Into::into)))
        };
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => Report::panic(this.what, panic).into(),
        };
        match this.end("dropped at its end") {
            Some(panic) if outcome.is_done() => Poll::Ready(panic.into()),
            _ => Poll::Ready(outcome),
        }
    }
}

impl<F> Drop for Contained<'_, F> {
    fn drop(&mut self) {
        // At the end of a drain. The message is handed back whatever this says.
        if let Some(future) = self.future.take()
            && !contain_drop(future)
        {
            tracing::warn!("{} panicked when it was dropped", self.what);
        }
    }
}
