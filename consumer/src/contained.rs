//! A future whose panics are results, wherever they happen: while it is made, polled or dropped.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    Failure,
    report::{Report, contain_drop},
    watch::Pulse,
};

/// The handling of one message, contained.
pub(crate) struct Contained<'a, F> {
    /// `None` once it has ended. On the heap, so that it can be dropped at a time of our choosing.
    future: Option<Pin<Box<F>>>,
    pulse: &'a Pulse,
}

// === impl Contained ===

impl<'a, F> Contained<'a, F>
where
    F: Future<Output = Result<(), Failure>>,
{
    pub(crate) fn new(future: F, pulse: &'a Pulse) -> Self {
        Self { future: Some(Box::pin(future)), pulse }
    }

    /// Drops the future at its timeout; what it ends with replaces the timeout if that is a panic.
    pub(crate) fn give_up(mut self, at_timeout: Report) -> Report {
        let what = "the handler, dropped at its timeout,";
        self.end(what).map_or(at_timeout, |panic| panic)
    }

    /// Drops the future; returns the panic of that.
    fn end(&mut self, what: &str) -> Option<Report> {
        let future = self.future.take()?;
        let _beat = self.pulse.beat();
        catch_unwind(AssertUnwindSafe(move || drop(future))).err().map(|panic| Report::panic(what, panic))
    }
}

impl<F> Future for Contained<'_, F>
where
    F: Future<Output = Result<(), Failure>>,
{
    type Output = Result<(), Report>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else {
            // Polled after its end, which nobody does.
            return Poll::Pending;
        };
        let polled = {
            let _beat = this.pulse.beat();
            // The error is read and dropped in here, because both are code of the service.
            catch_unwind(AssertUnwindSafe(|| {
                future.as_mut().poll(cx).map(|result| result.map_err(|failure| Report::of(&failure)))
            }))
        };
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => result,
            Err(panic) => Err(Report::panic("the handler", panic)),
        };
        match this.end("the handler, dropped at its end,") {
            Some(panic) if result.is_ok() => Poll::Ready(Err(panic)),
            _ => Poll::Ready(result),
        }
    }
}

impl<F> Drop for Contained<'_, F> {
    fn drop(&mut self) {
        // At the end of a drain. The message is handed back whatever this says.
        if let Some(future) = self.future.take()
            && !contain_drop(future)
        {
            tracing::warn!("a handler panicked when it was dropped");
        }
    }
}
