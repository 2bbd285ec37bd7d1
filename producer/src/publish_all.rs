//! Publishing a stream: the window stays full, outcomes come in the order of the input.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{
    Stream, StreamExt,
    future::{Either, poll_fn, select},
    stream,
};
use garenne_shared::config::PublishConfig;
use garenne_transport::PublishError;

use crate::{Enqueued, Publish, Receipt};

/// How far sending may run ahead of the outcome that was yielded last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    messages: usize,
    bytes: u64,
}

type Outcome = Result<Receipt, PublishError>;

/// The messages sent and not yet reported, oldest first.
///
/// Only the oldest is polled, so a confirm wakes the task once for a whole run of them. While the oldest is being retried all
/// are polled: others that failed with it must not begin their retries one after the other.
struct Sent<T> {
    entries: VecDeque<Entry<T>>,
    bytes: u64,
    limits: Limits,
}

struct Entry<T> {
    tag: T,
    bytes: u64,
    state: State,
}

#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is the usual one; boxing it would cost an allocation a message"
)]
enum State {
    Sent(Enqueued),
    Settled(Outcome),
    Taken,
}

/// Publishes a stream and yields the outcomes.
pub(crate) fn outcomes<'a, T, S>(
    publishes: S,
    limits: Limits,
) -> impl Stream<Item = (T, Outcome)> + use<'a, T, S>
where
    S: Stream<Item = (T, Publish<'a>)>,
{
    let sent = Sent { entries: VecDeque::new(), bytes: 0, limits };
    let input = Box::pin(publishes.fuse());
    stream::unfold((input, sent), |(mut input, mut sent)| async move {
        loop {
            if sent.is_full() || input.is_done() {
                let outcome = poll_fn(|cx| sent.poll_oldest(cx)).await?;
                return Some((outcome, (input, sent)));
            }
            let next = {
                let oldest = poll_fn(|cx| match sent.poll_oldest(cx) {
                    // Nothing was sent yet: only the input can go on.
                    Poll::Ready(None) => Poll::Pending,
                    other => other,
                });
                // The input first: sending goes before reporting, or the window would never fill.
                match select(input.next(), oldest).await {
                    Either::Left((next, _)) => Either::Left(next),
                    Either::Right((outcome, _)) => Either::Right(outcome),
                }
            };
            match next {
                // The call to `enqueue` is never dropped half way: a message is either in `sent` or still the input's.
                Either::Left(Some((tag, publish))) => sent.push(tag, publish).await,
                Either::Left(None) => {}
                Either::Right(outcome) => return outcome.map(|outcome| (outcome, (input, sent))),
            }
        }
    })
}

// === impl Limits ===

impl Limits {
    /// As much as the window of the connection takes; more would only wait there.
    pub(crate) fn new(config: &PublishConfig) -> Self {
        Self { messages: config.window.max(1), bytes: config.window_bytes }
    }
}

// === impl Sent ===

impl<T> Sent<T> {
    fn is_full(&self) -> bool {
        self.entries.len() >= self.limits.messages || self.bytes >= self.limits.bytes
    }

    async fn push(&mut self, tag: T, publish: Publish<'_>) {
        let (bytes, state) = match publish.enqueue().await {
            Ok(enqueued) => (enqueued.body_len() as u64, State::Sent(enqueued)),
            Err(error) => (0, State::Settled(Err(error))),
        };
        self.bytes += bytes;
        self.entries.push_back(Entry { tag, bytes, state });
    }

    /// Waits for the outcome of the oldest; `None` if there is none.
    fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Poll<Option<(T, Outcome)>> {
        let Some(oldest) = self.entries.front_mut() else { return Poll::Ready(None) };
        match oldest.poll(cx) {
            Poll::Ready(outcome) => {
                let Some(Entry { tag, bytes, .. }) = self.entries.pop_front() else {
                    return Poll::Ready(None);
                };
                self.bytes -= bytes;
                Poll::Ready(Some((tag, outcome)))
            }
            Poll::Pending => {
                if oldest.is_retrying() {
                    for entry in self.entries.iter_mut().skip(1) {
                        entry.advance(cx);
                    }
                }
                Poll::Pending
            }
        }
    }
}

// === impl Entry ===

impl<T> Entry<T> {
    const fn is_retrying(&self) -> bool {
        matches!(&self.state, State::Sent(enqueued) if enqueued.is_retrying())
    }

    /// Drives the publish, and keeps its outcome until it is the oldest.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let State::Sent(enqueued) = &mut self.state
            && let Poll::Ready(outcome) = Pin::new(enqueued).poll(cx)
        {
            self.state = State::Settled(outcome);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        if let State::Sent(enqueued) = &mut self.state {
            return Pin::new(enqueued).poll(cx);
        }
        match std::mem::replace(&mut self.state, State::Taken) {
            State::Settled(outcome) => Poll::Ready(outcome),
            State::Sent(_) | State::Taken => unreachable!("an entry leaves the queue with its outcome"),
        }
    }
}
