//! One delivery from its arrival to its outcome.

use std::{
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use garenne_transport::{Delivery, Settlement, Unsettled};

use crate::{
    Context, Outcome,
    context::Environment,
    disposition::{Disposition, Remedy, exhausted},
    ending::Ending,
    execute::{self, Kept},
    late::{self, Late},
    metric::Metrics,
    pipeline::Pipeline,
    waited::Waited,
    watch::Watch,
};

/// What every delivery of a consumer needs.
pub(crate) struct Work {
    pub(crate) pipeline: Pipeline,
    pub(crate) environment: Arc<Environment>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) kept: Kept,
    pub(crate) ending: Arc<Ending>,
    /// Whether a delay that was cut has been told.
    pub(crate) cut_delay_told: AtomicBool,
}

/// A delivery whose handling ended, and what is to become of it.
pub(crate) struct Handled {
    pub(crate) cx: Context,
    pub(crate) disposition: Disposition,
    pub(crate) unsettled: Unsettled,
}

// === impl Work ===

impl Work {
    /// Handles a delivery and settles it if nothing is left to do; the rest takes longer, and none of the concurrency.
    pub(crate) async fn handle(&self, delivery: Delivery) -> Option<Handled> {
        let Delivery { message, unsettled } = delivery;
        let cx = Context::new(message, Arc::clone(&self.environment), unsettled.liveness());
        if self.environment.tally.take_finished(cx.incoming()) {
            let (queue, id) = (cx.queue(), cx.message_id());
            tracing::info!(%queue, id, "message was handled before its delivery went stale: acknowledged now");
            unsettled.settle(Settlement::Ack);
            return None;
        }
        if let Some(left) = cx.waited().and_then(Waited::still) {
            let disposition = Disposition::Failed(Remedy::Wait { left });
            return Some(Handled { cx, disposition, unsettled });
        }
        let consumer = self.pipeline.consumer();
        let known = execute::put_back_report(&cx).or_else(|| exhausted(consumer, &cx));
        let outcome = match known {
            Some(report) => report.into(),
            None => match self.attend(&cx, &unsettled).await {
                Some(outcome) => outcome,
                None => {
                    self.ending.cut_short();
                    unsettled.settle(Settlement::Release);
                    return None;
                }
            },
        };
        match Disposition::decide(consumer, &cx, outcome) {
            Disposition::Done { publishes } if publishes.is_empty() => {
                execute::succeed(self, &cx, unsettled);
                None
            }
            disposition => Some(Handled { cx, disposition, unsettled }),
        }
    }

    /// Runs the handler to its end; `None` if the drain was over before.
    async fn attend(&self, cx: &Context, unsettled: &Unsettled) -> Option<Outcome> {
        let _running = self.metrics.begin();
        let _watched = self.watch.begin(cx);
        let begun = Instant::now();
        let mut handling = pin!(self.pipeline.handle(cx));
        // Most handlers end before the other two are polled, and pay nothing for them.
        let mut stale = pin!(late::stale(&self.environment.client, unsettled));
        let mut late: Option<Late> = None;
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut handling => break outcome,
                () = self.ending.cut().cancelled() => return None,
                how = &mut stale, if late.is_none() => late = Some(Late::begin(self, cx, begun, how)),
            }
        };
        if let Some(late) = late {
            late.end(self, cx, &outcome);
        }
        Some(outcome)
    }

    /// Carries out what is to become of a delivery.
    pub(crate) async fn settle(&self, handled: Handled) {
        execute::carry_out(self, handled).await;
    }
}
