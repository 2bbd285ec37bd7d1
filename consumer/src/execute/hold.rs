//! A failed delivery that waits for its next attempt.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use garenne_transport::{Settlement, Unsettled};
use tokio::time::sleep;

use crate::{Context, late, report::Report, work::Work};

/// The longest time that a failed delivery is held before it is handed back: 60 s.
///
/// The broker counts the time towards its consumer timeout, and every held delivery takes a place of the prefetch.
pub const HOLD_MAX: Duration = Duration::from_secs(60);

/// Holds a failed delivery for its delay, or until the service stops; `None` if it went stale before.
pub(super) async fn hold(
    work: &Work,
    cx: &Context,
    report: &Report,
    delay: Duration,
    unsettled: &Unsettled,
) -> Option<Settlement> {
    let (queue, id, attempt, kind) = (cx.queue(), cx.message_id(), cx.attempt(), report.kind.as_str());
    if !unsettled.is_current() {
        tracing::info!(
            %queue, id, attempt, kind, error = report.text(),
            "message failed after its delivery had gone stale: it comes again by itself"
        );
        return None;
    }
    if delay > HOLD_MAX && !work.cut_delay_told.swap(true, Relaxed) {
        tracing::warn!(
            %queue, ?delay, limit = ?HOLD_MAX,
            "a retry delay is longer than a delivery may be held and is cut to that; this is told once"
        );
    }
    let delay = delay.min(HOLD_MAX);
    tracing::info!(%queue, id, attempt, ?delay, kind, error = report.text(), "message will be tried again");
    tokio::select! {
        biased;
        how = late::stale(&work.environment.client, unsettled) => {
            late::count(work, cx, how);
            None
        }
        () = work.environment.stopping.cancelled() => Some(Settlement::Requeue),
        () = sleep(delay) => Some(Settlement::Requeue),
    }
}
