//! One delivery from its arrival to its outcome.

use std::{
    pin::pin,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use garenne_transport::{Delivery, Settlement, Unsettled};

use crate::{
    Context, Outcome,
    context::Environment,
    disposition::{Disposition, Remedy, exhausted},
    ending::Ending,
    execute::{self, Kept},
    kill_switch::{Found, Outcomes},
    late::{self, Late},
    metric::Metrics,
    pipeline::Pipeline,
    slow::Slow,
    waited::Waited,
    watch::Watch,
};

/// The first and the longest pause before a run that follows at once.
const IMMEDIATE_PAUSE: Duration = Duration::from_millis(10);
const IMMEDIATE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What every delivery of a consumer needs.
pub(crate) struct Work {
    pub(crate) pipeline: Pipeline,
    pub(crate) environment: Arc<Environment>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) slow: Slow,
    /// What the kill switch goes by, if there is one.
    pub(crate) outcomes: Option<Outcomes>,
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
            None => match self.attempt(&cx, &unsettled).await {
                Some(outcome) => {
                    self.record(&outcome);
                    outcome
                }
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

    /// Runs the handler, again at once where its failure may pass in a moment; `None` if the drain was over before.
    async fn attempt(&self, cx: &Context, unsettled: &Unsettled) -> Option<Outcome> {
        let mut retries = self.pipeline.consumer().immediate_retries;
        loop {
            let outcome = self.attend(cx, unsettled).await?;
            let Some(report) = outcome.failure().filter(|report| retries > 0 && report.passes_in_a_moment())
            else {
                return Some(outcome);
            };
            retries -= 1;
            let pause = IMMEDIATE_PAUSE.saturating_mul(1 << (cx.run() - 1).min(7)).min(IMMEDIATE_PAUSE_MAX);
            tracing::info!(
                queue = %cx.queue(), id = cx.message_id(), attempt = cx.attempt(), run = cx.run(), ?pause, kind = report.kind.as_str(),
                error = report.text(), "message is tried again at once"
            );
            if !self.pauses(pause, unsettled).await {
                return Some(outcome);
            }
            self.metrics.immediate();
            cx.next_run();
        }
    }

    /// Waits; returns `false` if nothing should run after it.
    async fn pauses(&self, pause: Duration, unsettled: &Unsettled) -> bool {
        let clock = self.environment.client.clock();
        tokio::select! {
            biased;
            () = self.environment.stopping.cancelled() => false,
            () = unsettled.stale() => false,
            () = clock.sleep(pause) => true,
        }
    }

    /// Runs the handler to its end; `None` if the drain was over before.
    async fn attend(&self, cx: &Context, unsettled: &Unsettled) -> Option<Outcome> {
        let running = self.metrics.begin();
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
        self.slow.note(cx.queue(), running.took());
        Some(outcome)
    }

    /// Waits until so much has failed that the consumer is to pause; for ever without a kill switch. Cancel safe.
    pub(crate) async fn too_much_failed(&self) -> Found {
        match &self.outcomes {
            Some(outcomes) => outcomes.tripped().await,
            None => std::future::pending().await,
        }
    }

    fn record(&self, outcome: &Outcome) {
        if let Some(outcomes) = &self.outcomes {
            outcomes.record(self.environment.client.clock().now(), outcome.is_done());
        }
    }

    /// Carries out what is to become of a delivery.
    pub(crate) async fn settle(&self, handled: Handled) {
        execute::carry_out(self, handled).await;
    }
}
