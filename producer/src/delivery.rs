//! One publish on its way: sends, and sends again what was refused or lost.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use garenne_shared::Outgoing;
use garenne_transport::{Confirmed, PublishError, PublishErrorKind, Sent, UnknownCause};

use crate::{
    Receipt,
    draft::Draft,
    progress::{Next, Progress},
    publisher::Shared,
    stage::Stage,
};

/// One publish, until it is confirmed or given up.
#[derive(Debug)]
pub(crate) struct Delivery {
    shared: Arc<Shared>,
    draft: Draft,
    progress: Progress,
    started: Instant,
    /// When the last attempt began; `None` as long as it is the first.
    again: Option<Instant>,
    /// Why the last attempt without a confirm had none.
    unknown: Option<UnknownCause>,
}

/// The result of an attempt that was sent.
#[derive(Debug)]
pub(crate) enum Verdict {
    Settled(Result<Receipt, PublishError>),
    Again(Duration),
}

// === impl Delivery ===

impl Delivery {
    pub(crate) fn new(shared: Arc<Shared>, draft: Draft) -> Self {
        Self {
            shared,
            draft,
            progress: Progress::default(),
            started: Instant::now(),
            again: None,
            unknown: None,
        }
    }

    /// Sends, and tries again within the policy if it could not be sent for want of a connection.
    pub(crate) async fn send(&mut self) -> Result<Sent, PublishError> {
        loop {
            if self.progress.attempts() > 0 {
                self.again = Some(Instant::now());
            }
            self.progress.begin();
            let Shared { channel, app_id, .. } = &*self.shared;
            match channel.send_kept(&self.draft.outgoing, self.draft.stamp(app_id)).await {
                Ok(sent) => return Ok(sent),
                Err(error) => match self.next(&error) {
                    Next::Again(delay) => self.sleep(delay).await,
                    Next::GiveUp(kind) => return Err(self.give_up(error, kind)),
                },
            }
        }
    }

    /// Sends until the message is confirmed or given up; who watches its stage is told how far it has come.
    pub(crate) async fn settle(mut self, stage: Option<&Stage>) -> Result<Receipt, PublishError> {
        loop {
            let mut sent = self.send().await?;
            if let Some(stage) = stage {
                stage.sent();
            }
            let delay = match poll_fn(|cx| self.poll_verdict(&mut sent, cx)).await {
                Verdict::Settled(result) => return result,
                Verdict::Again(delay) => delay,
            };
            if let Some(stage) = stage {
                stage.retrying();
            }
            self.sleep(delay).await;
        }
    }

    /// Waits for the delay before another attempt.
    pub(crate) async fn sleep(&self, delay: Duration) {
        self.shared.clock.sleep(delay).await;
    }

    /// Polls for the outcome of an attempt, and decides what it means for the publish.
    pub(crate) fn poll_verdict(&mut self, sent: &mut Sent, cx: &mut Context<'_>) -> Poll<Verdict> {
        let Outgoing { exchange, routing_key, .. } = &*self.draft.outgoing;
        let outcome = ready!(sent.poll_outcome(cx, exchange, routing_key));
        Poll::Ready(self.judge(outcome))
    }

    fn judge(&mut self, outcome: Result<Confirmed, PublishError>) -> Verdict {
        match outcome {
            Ok(confirmed) => Verdict::Settled(Ok(self.receipt(Some(confirmed)))),
            Err(error) if self.draft.allow_unroutable && error.kind() == PublishErrorKind::Unroutable => {
                Verdict::Settled(Ok(self.receipt(None)))
            }
            Err(error) => match self.next(&error) {
                Next::Again(delay) => Verdict::Again(delay),
                Next::GiveUp(kind) => Verdict::Settled(Err(self.give_up(error, kind))),
            },
        }
    }

    /// Returns the length of the body in bytes.
    pub(crate) fn body_len(&self) -> usize {
        self.draft.outgoing.body.len()
    }

    fn next(&mut self, error: &PublishError) -> Next {
        let Shared { retry, deadline, .. } = &*self.shared;
        let elapsed = self.started.elapsed();
        let attempt = self.again.unwrap_or(self.started).elapsed();
        self.unknown = error.unknown_cause().or(self.unknown);
        let next = self.progress.failed(error.kind(), elapsed, attempt, retry, *deadline);
        if let Next::Again(delay) = next {
            metrics::counter!("garenne_publish_retries_total").increment(1);
            tracing::debug!(
                message_id = self.draft.outgoing.metadata.message_id.as_deref(),
                attempts = self.progress.attempts(),
                ?delay,
                %error,
                "publishing again"
            );
        }
        next
    }

    /// Makes the receipt of a confirmed message, or (`None`) of one that was confirmed and returned.
    fn receipt(&mut self, confirmed: Option<Confirmed>) -> Receipt {
        let attempts = self.progress.attempts();
        let latency = match confirmed {
            Some(confirmed) if attempts == 1 => confirmed.latency,
            _ => self.started.elapsed(),
        };
        let routed = confirmed.is_some_and(|confirmed| confirmed.routed);
        Receipt { message_id: self.draft.take_message_id(), routed, attempts, latency }
    }

    fn give_up(&self, last: PublishError, kind: PublishErrorKind) -> PublishError {
        let attempts = self.progress.attempts();
        if attempts == 1 {
            return last;
        }
        last.given_up(kind, attempts, self.started.elapsed()).with_unknown_cause(self.unknown)
    }
}
