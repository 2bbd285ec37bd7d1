//! A publish that was sent, before its confirm.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use garenne_transport::{PublishError, Sent};
use tokio::time::sleep;

use crate::{
    Receipt,
    delivery::{Delivery, Verdict},
};

/// A publish that was sent; await it for its receipt.
///
/// Retries happen while it is awaited. One that is never awaited is not retried and its outcome is nobody's; dropping it does
/// not withdraw the message.
///
/// # Errors
///
/// The await fails as that of [`Publish`](crate::Publish).
///
/// # Panics
///
/// Panics if polled again after it is done.
///
/// # Cancel safety
///
/// Polling it by reference may be cancelled and loses nothing.
#[must_use = "a publish is only done when its receipt is awaited"]
pub struct Enqueued {
    state: State,
}

enum State {
    /// The usual way: one attempt.
    Sent {
        delivery: Delivery,
        sent: Sent,
    },
    /// An attempt failed; the rest runs in here.
    Retrying(Pin<Box<dyn Future<Output = Result<Receipt, PublishError>> + Send>>),
    Done,
}

// === impl Enqueued ===

impl Enqueued {
    pub(crate) const fn new(delivery: Delivery, sent: Sent) -> Self {
        Self { state: State::Sent { delivery, sent } }
    }

    /// Returns the length of the body in bytes; 0 once the first attempt has failed or succeeded.
    pub(crate) fn body_len(&self) -> usize {
        match &self.state {
            State::Sent { delivery, .. } => delivery.body_len(),
            State::Retrying(_) | State::Done => 0,
        }
    }

    /// Returns `true` if the first attempt failed and this is waiting for or running another.
    pub(crate) const fn is_retrying(&self) -> bool {
        matches!(self.state, State::Retrying(_))
    }
}

impl Future for Enqueued {
    type Output = Result<Receipt, PublishError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Sent { delivery, sent } = &mut self.state {
            match ready!(delivery.poll_verdict(sent, cx)) {
                Verdict::Settled(result) => {
                    self.state = State::Done;
                    return Poll::Ready(result);
                }
                Verdict::Again(delay) => {
                    let State::Sent { delivery, .. } = std::mem::replace(&mut self.state, State::Done) else {
                        unreachable!("the state was just matched");
                    };
                    self.state = State::Retrying(Box::pin(async move {
                        sleep(delay).await;
                        delivery.settle().await
                    }));
                }
            }
        }
        let State::Retrying(retry) = &mut self.state else { panic!("`Enqueued` polled after it was done") };
        let result = ready!(retry.as_mut().poll(cx));
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Enqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Sent { .. } => "sent",
            State::Retrying(_) => "retrying",
            State::Done => "done",
        };
        f.debug_struct("Enqueued").field("state", &state).finish_non_exhaustive()
    }
}
