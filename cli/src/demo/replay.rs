//! Replays the demo's own dead letters, after the bank has changed its mind.

use std::time::{Duration, Instant};

use garenne::{
    Client,
    deadletter::{DeadLetters, Filter, Replay},
};
use tokio_util::sync::CancellationToken;

use super::{
    ledger::Ledger,
    shop::{QUEUES, Shop},
    stats::Stats,
    view::Surface,
};

/// How long nothing may change before the rest is called lost.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the dead letters are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Waits until every order is handled or dead, replays what is dead, and waits again for the ends of these.
pub(crate) async fn replay(
    surface: Surface,
    operator: &Client,
    shop: &Shop,
    ledger: &Ledger,
    stats: &Stats,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    accounted(operator, shop, ledger, stop).await?;
    stats.bank.accepts_every_card();
    let mut replayed = 0;
    for queue in 0..QUEUES.len() {
        let dead = DeadLetters::new(operator, shop.dead_letters(queue));
        // They count as lost until they are handled or dead again.
        dead.each(&Filter::new(), None, |letter| {
            if let Some(order) = ledger.order(letter.id()) {
                ledger.replayed(order, queue);
            }
        })
        .await?;
        replayed += dead.replay(Replay::to_origin()).await?.removed;
    }
    surface.say(&format!("replayed {replayed} dead letters: the bank takes every card now"));
    accounted(operator, shop, ledger, stop).await
}

/// Looks into the dead-letter queues until nothing is missing, nothing has changed for 30 s, or it is told to stop.
async fn accounted(
    operator: &Client,
    shop: &Shop,
    ledger: &Ledger,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut last = (ledger.totals(), Instant::now());
    while last.0.lost > 0 && last.1.elapsed() < PATIENCE && !stop.is_cancelled() {
        for queue in 0..QUEUES.len() {
            let dead = DeadLetters::new(operator, shop.dead_letters(queue));
            dead.each(&Filter::new(), None, |letter| {
                if let Some(order) = ledger.order(letter.id()) {
                    ledger.dead_lettered(order, queue);
                }
            })
            .await?;
        }
        tokio::time::sleep(TICK).await;
        let now = ledger.totals();
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
    Ok(())
}
