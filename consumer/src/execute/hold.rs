//! A failed delivery that waits for its next attempt.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use garenne_transport::{Settlement, Unsettled};

use crate::{Context, late, report::Report, work::Work};

/// The longest time that a failed delivery is held before it is handed back: 60 s.
///
/// The broker counts the time towards its consumer timeout, and every held delivery takes a place of the prefetch.
pub const HOLD_MAX: Duration = Duration::from_secs(60);

/// Holds a failed delivery for its part of the delay, or until the service stops; `None` if it went stale before.
pub(super) async fn hold(
    work: &Work,
    cx: &Context,
    report: &Report,
    (delay, hold): (Duration, Duration),
    unsettled: &Unsettled,
) -> Option<Settlement> {
    let (queue, id, attempt, kind) = (cx.queue(), cx.message_id(), cx.attempt(), report.kind.as_str());
    if hold > HOLD_MAX && !work.cut_delay_told.swap(true, Relaxed) {
        tracing::warn!(
            %queue, delay = ?hold, limit = ?HOLD_MAX,
            "a retry delay is longer than a delivery may be held and is cut to that; this is told once"
        );
    }
    let hold = hold.min(HOLD_MAX);
    tracing::info!(%queue, id, attempt, ?delay, kind, error = report.text(), "message will be tried again");
    if hold.is_zero() {
        return Some(Settlement::Requeue);
    }
    let clock = work.environment.client.clock();
    tokio::select! {
        biased;
        how = late::stale(&work.environment.client, unsettled) => {
            late::count(work, cx, how);
            None
        }
        () = work.environment.stopping.cancelled() => Some(Settlement::Requeue),
        () = clock.sleep(hold) => Some(Settlement::Requeue),
    }
}
