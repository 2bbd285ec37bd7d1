//! The pause of the kill switch: nothing is read but one message now and then.
//!
//! A message that fails as such a probe keeps its attempts: it is held, so that the next probe is another one, and handed back uncounted with
//! all the others that are held. So an outage costs no message an attempt, and one that always fails keeps nobody from its turn.

use std::{sync::Arc, time::Duration};

use garenne_transport::{Delivery, Settlement, Unsettled};

use super::{Reading, Runner};
use crate::{
    Decision,
    disposition::{Disposition, Remedy},
    kill_switch::Found,
};

/// How many failed probes are held at most. Each has a channel of its own, and the broker's consumer timeout counts.
const HELD_MAX: usize = 8;

/// How a probe ended.
enum Probe {
    Handled,
    /// It failed; it may fare better later.
    Failed(Unsettled),
    /// It failed for good, and goes to the dead letters.
    Dead,
}

// === impl Runner ===

impl Runner {
    /// Pauses, and tries one message after each pause until one is handled, or there is none to try.
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
        let (mut failures, mut held) = (0, Vec::new());
        loop {
            let pause = outcomes.switch().pause_after(failures);
            stop.run_until_cancelled(clock.sleep(pause)).await?;
            stop.run_until_cancelled(self.flow.subscribe(1)).await?;
            let Some(delivery) = self.one_within(pause, &mut held).await? else {
                tracing::info!(%queue, "there is no message to try: the consumer goes on");
                break;
            };
            // Before it is settled, so that nothing else comes, to be handed back out of its order.
            self.flow.leave().await;
            match self.probe(delivery).await {
                Probe::Handled => {
                    tracing::info!(%queue, "a message was handled: the consumer goes on");
                    break;
                }
                Probe::Failed(unsettled) => held.push(unsettled),
                Probe::Dead => {}
            }
            failures += 1;
            if held.len() >= HELD_MAX {
                release(&mut held);
            }
        }
        release(&mut held);
        self.flow.leave_fully().await;
        drop(problem);
        outcomes.reset(clock.now());
        stop.run_until_cancelled(self.flow.subscribe_fully()).await?;
        Some(Reading::Open)
    }

    /// Waits for a message to try; hands back what is held if no other comes. The inner `None` if there is none at all, the outer at the
    /// stop.
    async fn one_within(&mut self, wait: Duration, held: &mut Vec<Unsettled>) -> Option<Option<Delivery>> {
        let clock = self.work.environment.client.clock();
        loop {
            let subscriber = self.flow.subscriber()?;
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                delivery = subscriber.next() => return delivery.map(Some),
                () = clock.sleep(wait) => {}
            }
            if held.is_empty() {
                return Some(None);
            }
            release(held);
        }
    }

    async fn probe(&mut self, delivery: Delivery) -> Probe {
        let Some(handled) = self.work.handle(delivery).await else { return Probe::Handled };
        let ended = match &handled.disposition {
            Disposition::Done { .. } => Probe::Handled,
            Disposition::Failed(Remedy::Retry { report, .. } | Remedy::DeadLetter { report }) => {
                let (queue, id) = (handled.cx.queue(), handled.cx.message_id());
                tracing::warn!(%queue, id, error = report.text(), "a message failed while the consumer is paused");
                if report.decision != Decision::DeadLetter {
                    return Probe::Failed(handled.unsettled);
                }
                Probe::Dead
            }
            // It was not its time; that tells nothing.
            Disposition::Failed(Remedy::Wait { .. }) => Probe::Dead,
        };
        self.scheduler.settle(handled, Arc::clone(&self.work));
        ended
    }
}

fn release(held: &mut Vec<Unsettled>) {
    for unsettled in held.drain(..) {
        unsettled.settle(Settlement::Release);
    }
}
