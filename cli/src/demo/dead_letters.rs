//! Reads the dead-letter queues back into the ledger, and waits until every confirmed order is accounted for.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use garenne::{
    prelude::*,
    transport::{Delivery, Settlement, Subscription},
};
use tokio_util::sync::CancellationToken;

use super::{ledger::Ledger, shop::QUEUES};

/// How long nothing may change before the rest is called lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the sums are looked at.
const TICK: Duration = Duration::from_millis(50);
/// The limit for handing back dead letters of other runs.
const CLOSE: Duration = Duration::from_secs(5);

/// Settles the books: returns when nothing is missing, when nothing has changed for 30 s, or when told to stop.
pub(crate) async fn settle(
    operator: &Client,
    ledger: &Ledger,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let done = CancellationToken::new();
    let readers = stream::iter(0..QUEUES.len())
        .map(|queue| read(operator, ledger, queue, &done))
        .buffer_unordered(QUEUES.len())
        .collect::<Vec<anyhow::Result<()>>>();
    let watch = async {
        let mut last = (ledger.totals(), Instant::now());
        while last.0.lost > 0 && last.1.elapsed() < PATIENCE && !stop.is_cancelled() {
            tokio::time::sleep(TICK).await;
            let now = ledger.totals();
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        done.cancel();
    };
    let (read, ()) = tokio::join!(readers, watch);
    read.into_iter().collect()
}

/// Takes the dead letters of this run out of one queue; those of other runs are handed back at the end.
async fn read(
    operator: &Client,
    ledger: &Ledger,
    queue: usize,
    done: &CancellationToken,
) -> anyhow::Result<()> {
    let name = QueueName::try_from(format!("{}.dlq", QUEUES[queue]))?;
    let mut subscriber = operator.subscribe(Subscription::new(name).prefetch(u16::MAX)).await?;
    let mut foreign = Vec::new();
    while let Some(Some(delivery)) = done.run_until_cancelled(subscriber.next()).await {
        let Delivery { message, unsettled } = delivery;
        match ledger.order(message.metadata.message_id.as_deref()) {
            Some(order) => {
                ledger.dead_lettered(order, queue);
                unsettled.settle(Settlement::Ack);
            }
            None => foreign.push(unsettled),
        }
    }
    for unsettled in foreign {
        unsettled.settle(Settlement::Release);
    }
    Ok(subscriber.close(CLOSE).await?)
}
