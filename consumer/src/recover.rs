//! Carries out what is to become of a delivery: the one place that settles what handlers get.
//!
//! A retry is handed back to the broker (`basic.reject` with requeue), which counts it towards the queue's delivery limit. A final
//! failure is copied to the dead-letter queue with the error in its headers, and only when that copy is confirmed is the
//! original acknowledged. While it cannot be confirmed the original stays unacknowledged: it is never lost.
//!
//! Nothing waits, copies or publishes for a delivery that is not current: its message is on its way to somebody else.

mod copies;
mod dead_letter;
mod hold;
mod kept;

use garenne_transport::{Settlement, Unsettled};

pub use self::hold::HOLD_MAX;
pub(crate) use self::{copies::put_back_report, kept::Kept};
use crate::{
    Context,
    outcome::Outcome,
    work::{Handled, Work},
};

/// Settles what a handler succeeded with.
pub(crate) fn succeed(work: &Work, cx: &Context, unsettled: Unsettled) {
    work.metrics.ok();
    settle(work, cx, unsettled, Settlement::Ack);
}

/// Settles what was not handled; takes as long as the hold or the copy takes.
pub(crate) async fn carry_out(work: &Work, handled: Handled) {
    let Handled { cx, outcome, unsettled } = handled;
    let settlement = match &outcome {
        Outcome::Done => Some(Settlement::Ack),
        Outcome::Retry { report, delay } => {
            work.metrics.retry();
            hold::hold(work, &cx, report, *delay, &unsettled).await
        }
        Outcome::DeadLetter { report } => {
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
    if work.station.stopping.is_cancelled() {
        work.ending.settled(unsettled.is_current());
    }
    match settlement {
        Settlement::Ack | Settlement::Reject if unsettled.is_current() => {
            work.station.tally.forget(cx.incoming());
        }
        Settlement::Requeue => work.station.tally.failed(cx.incoming(), cx.count()),
        Settlement::Ack | Settlement::Reject | Settlement::Release => {}
    }
    unsettled.settle(settlement);
}
