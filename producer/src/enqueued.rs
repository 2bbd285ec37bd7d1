//! A publish that was sent, before its confirm.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use garenne_transport::{PublishError, Sent};

use crate::{
    Receipt,
    delivery::{Delivery, Verdict},
    stage::Stage,
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
    Retrying(Running),
    /// The layers run, and the sending inside of them.
    Layered(Layered),
    /// It was settled before anybody asked.
    Settled(Result<Receipt, PublishError>),
    Done,
}

type Running = Pin<Box<dyn Future<Output = Result<Receipt, PublishError>> + Send>>;

/// A publish through layers.
pub(crate) struct Layered {
    pub(crate) running: Running,
    pub(crate) stage: Stage,
    /// The length of the body before the layers.
    pub(crate) body_len: usize,
}

// === impl Enqueued ===

impl Enqueued {
    pub(crate) const fn straight(delivery: Delivery, sent: Sent) -> Self {
        Self { state: State::Sent { delivery, sent } }
    }

    pub(crate) const fn layered(layered: Layered) -> Self {
        Self { state: State::Layered(layered) }
    }

    pub(crate) const fn settled(result: Result<Receipt, PublishError>) -> Self {
        Self { state: State::Settled(result) }
    }

    /// Returns the length of the body in bytes; 0 once the first attempt has failed or succeeded.
    pub(crate) fn body_len(&self) -> usize {
        match &self.state {
            State::Sent { delivery, .. } => delivery.body_len(),
            State::Layered(layered) => layered.body_len,
            State::Retrying(_) | State::Settled(_) | State::Done => 0,
        }
    }

    /// Returns `true` if the first attempt failed and this is waiting for or running another.
    pub(crate) fn is_retrying(&self) -> bool {
        match &self.state {
            State::Retrying(_) => true,
            State::Layered(layered) => layered.stage.is_retrying(),
            State::Sent { .. } | State::Settled(_) | State::Done => false,
        }
    }
}

// === impl Layered ===

impl Layered {
    /// Polls until the message was sent (`None`), or the publish is over before.
    pub(crate) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Receipt, PublishError>>> {
        match self.running.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if self.stage.is_sent() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
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
                        delivery.sleep(delay).await;
                        delivery.settle(None).await
                    }));
                }
            }
        }
        let running = match &mut self.state {
            State::Retrying(running) | State::Layered(Layered { running, .. }) => running,
            settled => match std::mem::replace(settled, State::Done) {
                State::Settled(result) => return Poll::Ready(result),
                _ => panic!("`Enqueued` polled after it was done"),
            },
        };
        let result = ready!(running.as_mut().poll(cx));
        self.state = State::Done;
        Poll::Ready(result)
    }
}

impl fmt::Debug for Enqueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Sent { .. } => "sent",
            State::Retrying(_) => "retrying",
            State::Layered(_) => "inside of layers",
            State::Settled(_) => "settled",
            State::Done => "done",
        };
        f.debug_struct("Enqueued").field("state", &state).finish_non_exhaustive()
    }
}
