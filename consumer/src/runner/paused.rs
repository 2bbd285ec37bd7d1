//! The pause of the kill switch: nothing is read but one message now and then.

use std::sync::Arc;

use garenne_transport::{Delivery, Settlement};

use super::{Reading, Runner};
use crate::{
    Decision,
    disposition::{Disposition, Remedy},
    kill_switch::Found,
    work::Handled,
};

/// Every so many failed probes in a row one counts as a failure of its message.
const COUNTED: u32 = 3;

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    Handled,
    Failed,
}

// === impl Runner ===

impl Runner {
    /// Pauses, and tries one message after each pause until one is handled.
    pub(super) async fn paused(&mut self, found: Found) -> Option<Reading> {
        let (work, stop) = (Arc::clone(&self.work), self.stop.clone());
        let Some(outcomes) = &work.outcomes else { return Some(Reading::Open) };
        let (queue, clock) = (&work.environment.queue, work.environment.client.clock());
        let Found { failed, handled } = found;
        tracing::error!(
            %queue, failed, handled,
            "too much fails: the consumer pauses, and tries one message now and then until one is handled"
        );
        let text = format!(
            "the consumer of queue `{queue}` is paused by its kill switch: {failed} of the last {handled} messages failed; it goes on when a \
             message is handled"
        );
        let problem = work.environment.client.problem(text);
        let _paused = work.metrics.pause();
        self.flow.leave().await;
        self.scheduler.hand_back();
        let mut failures = 0;
        loop {
            let pause = outcomes.switch().pause_after(failures);
            stop.run_until_cancelled(clock.sleep(pause)).await?;
            stop.run_until_cancelled(self.flow.subscribe(1, None)).await?;
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                delivery = self.flow.subscriber()?.next() => delivery?,
            };
            // Before it is settled, so that nothing else comes, to be handed back out of its order.
            self.flow.leave().await;
            match self.probe(delivery, failures).await {
                Probe::Handled => break,
                Probe::Failed => failures += 1,
            }
        }
        drop(problem);
        outcomes.reset(clock.now());
        tracing::info!(%queue, "a message was handled: the consumer goes on");
        stop.run_until_cancelled(self.flow.subscribe_fully(None)).await?;
        Some(Reading::Open)
    }

    async fn probe(&mut self, delivery: Delivery, failures: u32) -> Probe {
        let Some(handled) = self.work.handle(delivery).await else { return Probe::Handled };
        let decision = match &handled.disposition {
            Disposition::Done { .. } => {
                self.scheduler.settle(handled, Arc::clone(&self.work));
                return Probe::Handled;
            }
            Disposition::Failed(Remedy::Retry { report, .. } | Remedy::DeadLetter { report }) => {
                report.decision
            }
            // It was not its time; that tells nothing.
            Disposition::Failed(Remedy::Wait { .. }) => Decision::DeadLetter,
        };
        let Handled { cx, .. } = &handled;
        let counts = decision == Decision::DeadLetter || (failures + 1).is_multiple_of(COUNTED);
        tracing::warn!(queue = %cx.queue(), id = cx.message_id(), counts, "a message failed while the consumer is paused");
        if counts {
            self.scheduler.settle(handled, Arc::clone(&self.work));
        } else {
            handled.unsettled.settle(Settlement::Release);
        }
        Probe::Failed
    }
}
