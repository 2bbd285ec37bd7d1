//! Publishing a stream: the window stays full, outcomes come in the order of the input.

use std::{
    collections::VecDeque,
    pin::{Pin, pin},
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
/// Only the oldest without an outcome is polled, so one wake-up serves a whole run of confirms. While any is being retried,
/// all are polled: a retry may hold what others wait for, and what failed together must not be retried one after the other.
struct Sent<T> {
    entries: VecDeque<Entry<T>>,
    /// How many entries from the oldest on are known to be settled.
    settled: usize,
    /// Whether any entry was being retried when all were polled last.
    retrying: bool,
    bytes: u64,
    limits: Limits,
}

struct Entry<T> {
    tag: T,
    bytes: u64,
    state: State,
}

enum State {
    Sent(Enqueued),
    Settled(Outcome),
}

/// Publishes a stream and yields the outcomes.
pub(crate) fn outcomes<'a, T, S>(
    publishes: S,
    limits: Limits,
) -> impl Stream<Item = (T, Outcome)> + use<'a, T, S>
where
    S: Stream<Item = (T, Publish<'a>)>,
{
    let sent = Sent { entries: VecDeque::new(), settled: 0, retrying: false, bytes: 0, limits };
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

    /// Sends a message. Those sent before are driven meanwhile, because the window may have room only after that.
    async fn push(&mut self, tag: T, publish: Publish<'_>) {
        let mut enqueue = pin!(publish.enqueue());
        let enqueued = poll_fn(|cx| {
            let enqueued = enqueue.as_mut().poll(cx);
            if enqueued.is_pending() {
                self.drive(cx);
            }
            enqueued
        });
        let (bytes, state) = match enqueued.await {
            Ok(enqueued) => (enqueued.body_len() as u64, State::Sent(enqueued)),
            Err(error) => (0, State::Settled(Err(error))),
        };
        self.bytes += bytes;
        self.entries.push_back(Entry { tag, bytes, state });
    }

    /// Waits for the outcome of the oldest; `None` if there is none.
    fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Poll<Option<(T, Outcome)>> {
        if self.settled == 0 {
            self.drive(cx);
        }
        let oldest = self.entries.pop_front_if(|oldest| matches!(oldest.state, State::Settled(_)));
        match oldest {
            Some(Entry { tag, bytes, state: State::Settled(outcome) }) => {
                // It may have settled in a round of retries, uncounted.
                self.settled = self.settled.saturating_sub(1);
                self.bytes -= bytes;
                Poll::Ready(Some((tag, outcome)))
            }
            _ if self.entries.is_empty() => Poll::Ready(None),
            _ => Poll::Pending,
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        while let Some(entry) = self.entries.get_mut(self.settled) {
            if entry.advance(cx) {
                self.settled += 1;
                continue;
            }
            if self.retrying || entry.is_retrying() {
                self.retrying = false;
                for entry in self.entries.iter_mut().skip(self.settled) {
                    entry.advance(cx);
                    self.retrying |= entry.is_retrying();
                }
            }
            return;
        }
    }
}

// === impl Entry ===

impl<T> Entry<T> {
    fn is_retrying(&self) -> bool {
        matches!(&self.state, State::Sent(enqueued) if enqueued.is_retrying())
    }

    /// Drives the publish; returns `true` once it has its outcome.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        if let State::Sent(enqueued) = &mut self.state {
            let Poll::Ready(outcome) = Pin::new(enqueued).poll(cx) else { return false };
            self.state = State::Settled(outcome);
        }
        true
    }
}
