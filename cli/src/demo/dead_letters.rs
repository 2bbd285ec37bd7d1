//! Reads the dead-letter queues back into the ledger, and waits until every confirmed order is accounted for.

use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use garenne::{
    prelude::*,
    transport::{Delivery, Settlement, Subscription},
};
use tokio_util::sync::CancellationToken;

use super::{
    ledger::Ledger,
    shop::{QUEUES, Shop},
};

/// How long nothing may change before the rest is called lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the sums are looked at.
const TICK: Duration = Duration::from_millis(50);
/// The limit for the last acknowledgements.
const CLOSE: Duration = Duration::from_secs(5);

/// Settles the books: returns when nothing is missing, when nothing has changed for 30 s, or when told to stop.
pub(crate) async fn settle(
    operator: &Client,
    shop: &Shop,
    ledger: &Ledger,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let done = CancellationToken::new();
    let readers = stream::iter(0..QUEUES.len())
        .map(|queue| read(operator, shop, ledger, queue, &done))
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

/// Takes the dead letters out of one queue.
async fn read(
    operator: &Client,
    shop: &Shop,
    ledger: &Ledger,
    queue: usize,
    done: &CancellationToken,
) -> anyhow::Result<()> {
    let subscription = Subscription::new(shop.dead_letters(queue)).prefetch(u16::MAX);
    let mut subscriber = operator.subscribe(subscription).await?;
    while let Some(Some(delivery)) = done.run_until_cancelled(subscriber.next()).await {
        let Delivery { message, unsettled } = delivery;
        if let Some(order) = ledger.order(message.metadata.message_id.as_deref()) {
            ledger.dead_lettered(order, queue);
        }
        unsettled.settle(Settlement::Ack);
    }
    Ok(subscriber.close(CLOSE).await?)
}
