//! The way of a message to its dead-letter queue: which copies are tried, and what happens while none is taken.
//!
//! An error that is about the message (too large, refused, not to be encoded) does not pass by waiting: the copy says less of the failure,
//! then nothing, and at last the broker is asked to dead-letter the original. An error that is about the queue or the broker passes, or
//! somebody mends it: the message is kept and tried again. Half the prefetch is for such messages; what comes on top, or waits for long,
//! is moved to the end of its queue, so that the good messages behind it get their turn.

use std::time::{Duration, Instant};

use garenne_shared::{NameError, Outgoing, Retry};
use garenne_transport::{ErrorKind, PublishError, PublishErrorKind, Settlement, Unsettled};

use super::{
    copies::{self, Form, Target},
    kept::Place,
};
use crate::{Context, report::Report, work::Work};

/// How long to wait between attempts to copy a message to the dead-letter queue.
const COPY_DELAY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long a message is kept before it is moved to the end of its queue. It is well below the broker's default consumer timeout, 30 min.
const KEEP_MAX: Duration = Duration::from_secs(10 * 60);

/// How long a message waits that is moved to the end at once; it bounds how fast such messages go round.
const MOVE_DELAY: Duration = Duration::from_secs(1);

/// What is said where the contract of the queue has no dead letters.
const NO_DEAD_LETTERS: &str = "the queue has no dead letters; give it some in the topology, or name a queue with `Consumer::dead_letter_queue`";

/// How an attempt to publish a copy ended.
enum Attempt {
    Stored,
    Failed(PublishError),
    /// The delivery is over, one way or the other.
    Over(Option<Settlement>),
}

/// One message on its way.
struct Sender<'a> {
    work: &'a Work,
    cx: &'a Context,
    report: &'a Report,
    unsettled: &'a Unsettled,
}

/// Sends a message to its dead-letter queue, and returns how to settle it; `None` if it went stale before.
pub(super) async fn send(
    work: &Work,
    cx: &Context,
    report: &Report,
    unsettled: &Unsettled,
) -> Option<Settlement> {
    let (queue, id, attempt, kind) = (cx.queue(), cx.message_id(), cx.attempt(), report.kind.as_str());
    tracing::warn!(%queue, id, attempt, kind, error = report.text(), "message goes to the dead-letter queue");
    Sender { work, cx, report, unsettled }.send().await
}

// === impl Sender ===

impl Sender<'_> {
    async fn send(&self) -> Option<Settlement> {
        let delays = Retry::exponential(COPY_DELAY.0..=COPY_DELAY.1).jitter(true);
        let (clock, since) = (self.work.environment.client.clock(), Instant::now());
        let mut place: Option<Place<'_>> = None;
        let mut failed = 0;
        loop {
            let (reason, passing) = match self.try_forms().await {
                Ok(settlement) => return settlement,
                Err(refusal) => refusal,
            };
            failed += 1;
            let delay = delays.delay(failed).unwrap_or(COPY_DELAY.1);
            let (queue, id) = (self.cx.queue(), self.cx.message_id());
            // A lost connection costs an attempt now and then; what does not pass by itself needs somebody.
            let mut over = false;
            if passing && failed < 3 {
                tracing::warn!(%queue, id, failed, ?delay, error = reason, "message is not dead-lettered yet, keeping it");
            } else {
                tracing::error!(%queue, id, failed, ?delay, error = reason, "message cannot be dead-lettered, keeping it");
                match &place {
                    Some(place) => place.because(&reason),
                    None => place = Some(self.work.kept.keep(&reason)),
                }
                over = since.elapsed() >= KEEP_MAX || place.as_ref().is_some_and(|place| place.over);
            }
            // The stop is heard between attempts. One that was sent is waited for, as long as the drain lasts: requeueing meanwhile
            // could leave the original and its copy.
            tokio::select! {
                biased;
                () = self.unsettled.stale() => return self.stale(),
                () = self.work.environment.stopping.cancelled() => return Some(Settlement::Release),
                () = clock.sleep(if over { MOVE_DELAY } else { delay }) => {}
            }
            if over && let Some(settlement) = self.move_to_the_end().await {
                return settlement;
            }
        }
    }

    /// Tries the copies from the one that says most. Fails with why none is taken, and whether that may pass by itself.
    async fn try_forms(&self) -> Result<Option<Settlement>, (String, bool)> {
        let to = match Target::of(self.work.pipeline.consumer()) {
            Ok(Some(to)) => to,
            Ok(None) => return Err((NO_DEAD_LETTERS.to_owned(), false)),
            Err(error) => return self.reject(&misnamed(&error)).await,
        };
        let mut form = Form::Whole;
        loop {
            let copy = match copies::copy(form, &to, self.cx, self.report) {
                Ok(copy) => copy,
                Err(error) => return self.reject(&misnamed(&error)).await,
            };
            let error = match self.publish(copy).await {
                Attempt::Stored => {
                    self.note(form);
                    return Ok(Some(Settlement::Ack));
                }
                Attempt::Over(settlement) => return Ok(settlement),
                Attempt::Failed(error) => error,
            };
            if !is_about_the_message(error.kind()) {
                return Err((chain(&error), error.is_transient()));
            }
            form = match form.next() {
                // What is refused for its size may fit when it is shorter; what is refused for another reason costs a channel each time.
                Some(next) if error.kind() == PublishErrorKind::TooLarge => next,
                Some(_) => Form::Bare,
                None => return self.reject(&chain(&error)).await,
            };
        }
    }

    async fn publish(&self, copy: Outgoing) -> Attempt {
        let publisher = &self.work.environment.copies;
        tokio::select! {
            biased;
            published = publisher.publish_raw(copy) => match published {
                Ok(_) => Attempt::Stored,
                Err(error) if error.kind() == PublishErrorKind::Closed => Attempt::Over(None),
                Err(error) => Attempt::Failed(error),
            },
            () = self.unsettled.stale() => Attempt::Over(self.stale()),
            () = self.work.ending.cut().cancelled() => {
                self.work.ending.cut_short();
                Attempt::Over(Some(Settlement::Release))
            }
        }
    }

    /// Lets the broker dead-letter the original where it is known to do so; a reject could lose the message otherwise.
    async fn reject(&self, error: &str) -> Result<Option<Settlement>, (String, bool)> {
        let facts = &self.work.environment.facts;
        if !facts.dead_letters {
            let remedy =
                "give the queue a dead-letter exchange and say so with `Consumer::broker_dead_letters`";
            return Err((format!("{error}; {remedy}"), false));
        }
        // What is dead-lettered to a queue that is missing is dropped.
        if let Some(queue) = &facts.dead_letter_queue
            && let Err(missing) = self.work.environment.client.queue_info(queue).await
            && missing.kind() != ErrorKind::AccessRefused
        {
            return Err((
                format!("{error}; and the broker cannot dead-letter it: {missing}"),
                missing.is_transient(),
            ));
        }
        let (queue, id) = (self.cx.queue(), self.cx.message_id());
        tracing::warn!(%queue, id, error, "no copy can be published: the broker is asked to dead-letter the message");
        self.work.metrics.shortened("rejected");
        Ok(Some(Settlement::Reject))
    }

    /// Puts a copy at the end of the queue it came from; the outer `None` if that is not possible.
    async fn move_to_the_end(&self) -> Option<Option<Settlement>> {
        if self.work.environment.facts.stream {
            return None;
        }
        let copy = copies::put_back(self.cx, self.report).ok()?;
        let (queue, id) = (self.cx.queue(), self.cx.message_id());
        match self.publish(copy).await {
            Attempt::Stored => {
                tracing::warn!(%queue, id, "message waits for its dead-letter queue at the end of its own");
                Some(Some(Settlement::Ack))
            }
            Attempt::Over(settlement) => Some(settlement),
            Attempt::Failed(error) => {
                tracing::debug!(%queue, id, %error, "message cannot be moved to the end of its queue");
                None
            }
        }
    }

    /// Counts and tells copies that do not say all.
    fn note(&self, form: Form) {
        if form == Form::Whole {
            return;
        }
        let (queue, id) = (self.cx.queue(), self.cx.message_id());
        self.work.metrics.shortened(form.as_str());
        tracing::warn!(
            %queue, id, form = form.as_str(),
            "the dead letter carries only a part of the error: the headers of the message leave no room for more, or the broker refused the \
             longer copy"
        );
    }

    fn stale(&self) -> Option<Settlement> {
        let (queue, id) = (self.cx.queue(), self.cx.message_id());
        tracing::info!(%queue, id, "message was not dead-lettered before its delivery went stale: it comes again by itself");
        self.work.metrics.stale();
        None
    }
}

/// Tells whether another copy may fare better; waiting does not help.
const fn is_about_the_message(kind: PublishErrorKind) -> bool {
    matches!(kind, PublishErrorKind::TooLarge | PublishErrorKind::Refused | PublishErrorKind::Encode)
}

fn misnamed(error: &NameError) -> String {
    format!("the dead-letter queue cannot be addressed: {error}")
}

/// Returns an error with its sources in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
