//! What a success publishes before its message is acknowledged.

use garenne_shared::Outgoing;
use garenne_transport::{PublishError, PublishErrorKind, Unsettled};

use crate::{Context, Decision, FailureKind, report::Report, work::Work};

/// What became of the messages.
pub(super) enum Published {
    /// Each is confirmed.
    All,
    /// One is not: the message that caused them has failed.
    Failed(Report),
    /// The delivery is over: it went stale, or the drain ended.
    Over,
}

/// Publishes these messages in order and waits until each is confirmed.
pub(super) async fn confirm(
    work: &Work,
    cx: &Context,
    publishes: Vec<Outgoing>,
    unsettled: &Unsettled,
) -> Published {
    let (queue, id) = (cx.queue(), cx.message_id());
    if !unsettled.is_current() {
        tracing::info!(%queue, id, "message was handled after its delivery had gone stale: it comes again by itself");
        return Published::Over;
    }
    tokio::select! {
        biased;
        published = publish(cx, publishes) => match published {
            Ok(()) => Published::All,
            Err(error) => Published::Failed(failed(&error)),
        },
        () = unsettled.stale() => {
            tracing::info!(%queue, id, "what a message caused was not confirmed before its delivery went stale: it comes again by itself");
            work.metrics.stale();
            Published::Over
        }
        () = work.ending.cut().cancelled() => {
            work.ending.cut_short();
            Published::Over
        }
    }
}

/// Sends all before it waits for the first confirm.
async fn publish(cx: &Context, publishes: Vec<Outgoing>) -> Result<(), PublishError> {
    let mut enqueued = Vec::with_capacity(publishes.len());
    for message in publishes {
        enqueued.push(cx.publisher().publish_raw(message).enqueue().await?);
    }
    for confirm in enqueued {
        confirm.await?;
    }
    Ok(())
}

fn failed(error: &PublishError) -> Report {
    // What the broker never takes fails again at every attempt.
    let decision = match error.kind() {
        PublishErrorKind::TooLarge | PublishErrorKind::Encode | PublishErrorKind::Refused => {
            Decision::DeadLetter
        }
        _ => Decision::Retry,
    };
    let message = format!("what the handler publishes was not confirmed: {error}");
    Report::new(decision, FailureKind::Publish, message)
}
