//! Carries out what is to become of a delivery: the one place that publishes for handlers and settles what they get.
//!
//! What a success publishes (what was deferred, a reply) is confirmed before the message is acknowledged; if it is not, the message has failed.
//! A retry is handed back to the broker (`basic.reject` with requeue), which counts it towards the queue's delivery limit. A final
//! failure is copied to the dead-letter queue with the error in its headers, and only when that copy is confirmed is the
//! original acknowledged. While it cannot be confirmed the original stays unacknowledged: it is never lost.
//!
//! Nothing waits, copies or publishes for a delivery that is not current: its message is on its way to somebody else.

mod copies;
mod dead_letter;
mod kept;
mod publishes;
mod tier;
mod wait;

use garenne_transport::{Settlement, Unsettled};

use self::publishes::Published;
pub use self::wait::HOLD_MAX;
pub(crate) use self::{copies::put_back_report, kept::Kept};
use crate::{
    Context,
    disposition::{Disposition, Remedy},
    work::{Handled, Work},
};

/// Settles what a handler succeeded with.
pub(crate) fn succeed(work: &Work, cx: &Context, unsettled: Unsettled) {
    work.metrics.ok();
    settle(work, cx, unsettled, Settlement::Ack);
}

/// Publishes what is to be published and settles; takes as long as the confirms, the hold or the copy take.
pub(crate) async fn carry_out(work: &Work, handled: Handled) {
    let Handled { cx, disposition, unsettled } = handled;
    let remedy = match disposition {
        Disposition::Done { publishes } => match publishes::confirm(work, &cx, publishes, &unsettled).await {
            Published::All => return succeed(work, &cx, unsettled),
            // Without a settlement, dropping the delivery hands back what is still current.
            Published::Over => return,
            Published::Failed(report) => Remedy::decide(work.pipeline.consumer(), &cx, report),
        },
        Disposition::Failed(remedy) => remedy,
    };
    if !unsettled.is_current() {
        if let Remedy::Retry { report, .. } | Remedy::DeadLetter { report } = &remedy {
            tracing::info!(
                queue = %cx.queue(), id = cx.message_id(), attempt = cx.attempt(), kind = report.kind.as_str(), error = report.text(),
                "message failed after its delivery had gone stale: it comes again by itself"
            );
        }
        return;
    }
    let settlement = match &remedy {
        Remedy::Retry { report, retrying } => {
            work.metrics.retry();
            wait::for_retry(work, &cx, report, retrying, &unsettled).await
        }
        Remedy::Wait { left } => match cx.waited() {
            Some(waited) => wait::on(work, &cx, (waited, *left), &unsettled).await,
            None => Some(Settlement::Release),
        },
        Remedy::DeadLetter { report } => {
            work.metrics.dead_letter();
            dead_letter::send(work, &cx, report, &unsettled).await
        }
    };
    // Without one, dropping the delivery hands back what is still current.
    if let Some(settlement) = settlement {
        settle(work, &cx, unsettled, settlement);
    }
}

fn settle(work: &Work, cx: &Context, unsettled: Unsettled, settlement: Settlement) {
    if work.environment.stopping.is_cancelled() {
        work.ending.settled(unsettled.is_current());
    }
    match settlement {
        Settlement::Ack | Settlement::Reject if unsettled.is_current() => {
            work.environment.tally.forget(cx.incoming());
        }
        Settlement::Requeue => work.environment.tally.failed(cx.incoming(), cx.count()),
        Settlement::Ack | Settlement::Reject | Settlement::Release => {}
    }
    unsettled.settle(settlement);
}
