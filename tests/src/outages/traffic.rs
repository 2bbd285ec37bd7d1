//! A client that publishes and consumes all the time, and the watch over what it says of itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use garenne::{Client, Config, Consumer, Context, Exchange, Publisher, Queue, Service, Topology};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Ledger;

/// The name of the exchange and of the queue.
pub(super) const TICKS: &str = "ticks";
/// How often a publish begins, whatever became of the others.
const EVERY: Duration = Duration::from_millis(5);
/// How many may be under way.
const UNDER_WAY: usize = 200;
/// How often the client is asked whether it is ready.
const ASKED_EVERY: Duration = Duration::from_millis(100);
/// How long a client may call itself ready while nothing works: its own limits are 3 s, and it needs a moment.
const LIE: Duration = Duration::from_secs(5);

/// A message.
#[derive(Debug, Serialize, Deserialize, garenne::Message)]
#[message(type = "tick.v1", exchange = "ticks", key = "tick")]
struct Tick {
    number: u64,
}

/// The client and its tasks.
#[derive(Debug)]
pub(super) struct Traffic {
    client: Client,
    ledger: Arc<Ledger>,
    publishing: (CancellationToken, JoinSet<()>),
    consuming: (CancellationToken, JoinSet<()>),
}

/// What is declared before the first message.
pub(super) fn topology() -> Topology {
    Topology::new().exchange(Exchange::topic(TICKS)).queue(Queue::quorum(TICKS).bind(TICKS, "tick"))
}

// === impl Traffic ===

impl Traffic {
    /// Declares, subscribes, and begins to publish.
    pub(super) async fn start(config: Config) -> Self {
        let client = Client::connect(config).await.expect("nothing is broken yet");
        client.apply(&topology()).await.expect("nothing is broken yet");
        let ledger = Arc::new(Ledger::new());
        let (mut publishing, mut consuming) = (JoinSet::new(), JoinSet::new());
        let (stop_publishing, stop_consuming) = (CancellationToken::new(), CancellationToken::new());
        publishing.spawn(publish(client.clone(), Arc::clone(&ledger), stop_publishing.clone()));
        consuming.spawn(consume(client.clone(), Arc::clone(&ledger), stop_consuming.clone()));
        let watching = watch(client.clone(), Arc::clone(&ledger));
        let stop = stop_publishing.clone();
        publishing.spawn(async move {
            stop.run_until_cancelled(watching).await;
        });
        Self {
            client,
            ledger,
            publishing: (stop_publishing, publishing),
            consuming: (stop_consuming, consuming),
        }
    }

    pub(super) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Publishes no more, waits until everything has arrived or `limit` has passed, closes, and looks what another client finds.
    pub(super) async fn stop(self, limit: Duration) {
        let Self { client, ledger, publishing, consuming } = self;
        publishing.0.cancel();
        publishing.1.join_all().await;
        arrive(&ledger, limit).await;
        consuming.0.cancel();
        consuming.1.join_all().await;
        let config = client.config().clone();
        client.close().await;
        ledger.over();
        if ledger.missing() > 0 {
            let client = Client::connect(config).await.expect("nothing is broken any more");
            let stop = CancellationToken::new();
            let arrived = async {
                arrive(&ledger, limit).await;
                stop.cancel();
            };
            tokio::join!(consume(client.clone(), Arc::clone(&ledger), stop.clone()), arrived);
            client.close().await;
        }
    }
}

/// Waits until everything confirmed has arrived, or `limit` has passed.
async fn arrive(ledger: &Ledger, limit: Duration) {
    let began = Instant::now();
    while ledger.missing() > 0 && began.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Begins a publish at every tick and waits for none, so that one verdict that comes late does not hold up the others.
async fn publish(client: Client, ledger: Arc<Ledger>, stop: CancellationToken) {
    let publisher = Publisher::new(&client);
    let mut under_way = JoinSet::new();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        tick.tick().await;
        while under_way.try_join_next().is_some() {}
        if under_way.len() >= UNDER_WAY {
            under_way.join_next().await;
        }
        let (publisher, ledger) = (publisher.clone(), Arc::clone(&ledger));
        under_way.spawn(async move {
            let number = ledger.begin();
            let verdict = publisher.publish(&Tick { number }).await;
            if let Err(error) = &verdict {
                tracing::debug!(number, %error, "no confirm");
            }
            ledger.end(number, verdict.as_ref().map(|_| ()));
        });
    }
    under_way.join_all().await;
}

async fn consume(client: Client, ledger: Arc<Ledger>, stop: CancellationToken) {
    let consumer = Consumer::new(TICKS).concurrency(8).handle(move |tick: Tick, _: Context| {
        ledger.delivered(tick.number);
        std::future::ready(Ok(()))
    });
    let ended = Service::new(&client).consume(consumer).run_until(stop.clone().cancelled_owned()).await;
    // A service that ended by itself shows as deliveries that never came back.
    if let Err(error) = ended {
        tracing::error!(%error, "the service ended");
    }
}

/// Compares what the client says of itself with what works.
async fn watch(client: Client, ledger: Arc<Ledger>) {
    let (began, mut ready_since) = (Instant::now(), None);
    let mut tick = tokio::time::interval(ASKED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut confirmed, mut delivered) = (began, began);
    loop {
        tick.tick().await;
        ready_since =
            if client.health().is_ready() { ready_since.or_else(|| Some(Instant::now())) } else { None };
        let last = ledger.last();
        confirmed = last.0.unwrap_or(confirmed);
        delivered = last.1.unwrap_or(delivered);
        let Some(since) = ready_since else { continue };
        let lie = confirmed.min(delivered).max(since).elapsed();
        if lie > LIE {
            ledger.lied(lie);
        }
    }
}
