//! A failed delivery that waits for its next attempt: in the queue, in a retry tier, or here.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use garenne_transport::{Settlement, Unsettled};

use super::tier::{self, Waiting};
use crate::{Context, disposition::Retrying, late, report::Report, waited::Waited, work::Work};

/// The longest time that a failed delivery is held before it is handed back: 60 s.
///
/// The broker counts the time towards its consumer timeout, and every held delivery takes a place of the prefetch.
pub const HOLD_MAX: Duration = Duration::from_secs(60);

/// Lets a failed message wait for its next attempt, and returns how to settle it; `None` if it went stale before.
pub(super) async fn for_retry(
    work: &Work,
    cx: &Context,
    report: &Report,
    retry: &Retrying,
    unsettled: &Unsettled,
) -> Option<Settlement> {
    let Retrying { delay, hold, exactly } = *retry;
    let (queue, id, attempt, kind) = (cx.queue(), cx.message_id(), cx.attempt(), report.kind.as_str());
    let (environment, clock) = (&work.environment, work.environment.client.clock());
    // What waits in a tier is not delayed by its queue as well.
    let in_tier = if hold.is_zero() { hold } else { delay };
    if let Some(tier) = tier::choose(&environment.facts.retry_tiers, in_tier, exactly) {
        let due = (exactly && tier.delay() < in_tier).then(|| SystemTime::now() + in_tier);
        tracing::info!(
            %queue, id, attempt, ?delay, kind, error = report.text(), tier = %tier.exchange(),
            "message will be tried again, and waits in a retry tier"
        );
        match tier::send(work, cx, report, attempt, (tier, due), unsettled).await {
            Waiting::There(settlement) => {
                work.metrics.waits("tier");
                return settlement;
            }
            Waiting::Refused => {}
        }
    }
    if hold > HOLD_MAX && !work.cut_delay_told.swap(true, Relaxed) {
        tracing::warn!(
            %queue, delay = ?hold, limit = ?HOLD_MAX,
            "a retry delay is longer than a delivery may be held and is cut to that; this is told once"
        );
    }
    let hold = hold.min(HOLD_MAX);
    tracing::info!(%queue, id, attempt, ?delay, kind, error = report.text(), "message will be tried again");
    if hold.is_zero() {
        work.metrics.waits("queue");
        return Some(Settlement::Requeue);
    }
    work.metrics.waits("consumer");
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

/// Lets a message go on waiting that a retry tier has handed back before its time; `None` if it went stale before.
pub(super) async fn on(
    work: &Work,
    cx: &Context,
    (waited, left): (&Waited, Duration),
    unsettled: &Unsettled,
) -> Option<Settlement> {
    let environment = &work.environment;
    if let Some(tier) = tier::choose(&environment.facts.retry_tiers, left, true) {
        let due = (tier.delay() < left).then(|| SystemTime::now() + left);
        match tier::send(work, cx, &waited.report, waited.attempts, (tier, due), unsettled).await {
            Waiting::There(settlement) => return settlement,
            Waiting::Refused => {}
        }
    }
    let clock = environment.client.clock();
    // Handed back uncounted: it has not been tried.
    tokio::select! {
        biased;
        () = unsettled.stale() => None,
        () = environment.stopping.cancelled() => Some(Settlement::Release),
        () = clock.sleep(left.min(HOLD_MAX)) => Some(Settlement::Release),
    }
}
