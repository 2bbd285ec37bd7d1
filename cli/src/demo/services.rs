//! The services of the demo: one producer, and consumers that each have connections of their own.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use garenne::{ExchangeName, prelude::*, shared::Chain};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{
    ledger::{Ledger, Outcome},
    messages::{OrderPlaced, Payment, Shape, order, shape},
    shop::{QUEUES, Shop},
    stats::{CONSUMERS, Stats},
};

/// How many publishes the producer keeps under way.
const WINDOW: usize = 200;

/// The running consumer services.
#[derive(Debug)]
pub(crate) struct Services {
    stop: CancellationToken,
    running: JoinSet<Result<(), garenne::Error>>,
    watchers: JoinSet<()>,
    clients: Vec<Client>,
}

/// Handles orders of one queue.
#[derive(Debug)]
struct Desk {
    consumer: usize,
    queue: usize,
    ledger: Arc<Ledger>,
    stats: Arc<Stats>,
}

// === impl Services ===

impl Services {
    /// Connects and subscribes every consumer.
    pub(crate) async fn start(
        config: &Config,
        shop: &Shop,
        ledger: &Arc<Ledger>,
        stats: &Arc<Stats>,
    ) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (mut running, mut watchers) = (JoinSet::new(), JoinSet::new());
        let mut clients = Vec::new();
        for (consumer, (name, queue)) in CONSUMERS.into_iter().enumerate() {
            let client = Client::connect(config.clone().service(name)).await?;
            count_reconnects(&client, stats, &mut watchers);
            let desk = Desk { consumer, queue, ledger: Arc::clone(ledger), stats: Arc::clone(stats) };
            let service =
                Service::new(&client).consume(Consumer::of(&shop.work(queue)).concurrency(16).handle(desk));
            running.spawn(service.run_until(stop.clone().cancelled_owned()));
            clients.push(client);
        }
        Ok(Self { stop, running, watchers, clients })
    }

    /// Stops every consumer: no new deliveries, finish what runs, settle it, close.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended??;
        }
        for client in &self.clients {
            client.close().await;
        }
        self.watchers.shutdown().await;
        Ok(())
    }
}

// === impl Desk ===

#[async_trait]
impl Handler<OrderPlaced> for Desk {
    async fn handle(&self, order: OrderPlaced, cx: Context) -> Result<(), Failure> {
        if cx.redelivered() {
            self.stats.redelivered.up();
        }
        if QUEUES[self.queue] == "billing" {
            charge(&order, cx.attempt(), &self.stats)?;
        }
        if let Some(order) = self.ledger.order(cx.message_id()) {
            self.ledger.handled(order, self.queue);
            self.stats.handled[self.consumer].up();
        }
        Ok(())
    }
}

/// Plays the bank.
fn charge(order: &OrderPlaced, attempt: u32, stats: &Stats) -> Result<(), Failure> {
    let (is_away, is_generous) = stats.bank.mood();
    match order.payment {
        _ if is_away => {
            stats.retried.up();
            Err(Failure::retry("the bank is away"))
        }
        Payment::SlowBank if attempt == 1 => {
            stats.retried.up();
            Err(Failure::retry("the bank does not answer"))
        }
        Payment::Accepted | Payment::SlowBank => Ok(()),
        Payment::Declined if is_generous => Ok(()),
        Payment::Declined => Err(Failure::dead_letter("the card is declined")),
    }
}

/// Publishes every order and notes in the ledger how each ended; stops early when told to.
pub(crate) async fn produce(
    config: &Config,
    shop: &Shop,
    ledger: &Arc<Ledger>,
    stats: &Arc<Stats>,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let exchange = shop.exchange();
    let client = Client::connect(config.clone().service("shop")).await?;
    let mut watchers = JoinSet::new();
    count_reconnects(&client, stats, &mut watchers);
    let publisher = Publisher::new(&client);
    stream::iter(0..ledger.orders())
        .take_until(stop.cancelled())
        .for_each_concurrent(WINDOW, |id| {
            let (publisher, exchange) = (&publisher, &exchange);
            async move {
                stats.unconfirmed.up();
                let outcome = publish(publisher, exchange, id, ledger.message_id(id)).await;
                stats.unconfirmed.down();
                stats.published.up();
                ledger.published(id, outcome);
            }
        })
        .await;
    client.close().await;
    watchers.shutdown().await;
    Ok(())
}

async fn publish(publisher: &Publisher, exchange: &ExchangeName, id: u32, message_id: String) -> Outcome {
    let order = order(id);
    let shape = shape(id);
    let publish = match shape {
        Shape::Sound => publisher.publish(&order),
        Shape::Unroutable => publisher.publish(&order).routing_key("quote.requested"),
        Shape::Poison => publisher.publish_raw(poison(exchange, &order)),
    };
    match publish.exchange(exchange.clone()).message_id(message_id).await {
        Ok(_) => Outcome::Confirmed,
        Err(error) if error.is_unroutable() && shape == Shape::Unroutable => Outcome::Unroutable,
        Err(error) => {
            tracing::warn!(order = id, error = %Chain(&error), "order was not confirmed");
            Outcome::Failed
        }
    }
}

/// Makes a message that claims to be an order and is not.
fn poison(exchange: &ExchangeName, order: &OrderPlaced) -> Outgoing {
    let mut message =
        Outgoing::new(exchange.clone(), "order.placed.eu", format!("{{\"id\":{},\"region\":", order.id));
    message.metadata.message_type = Some(OrderPlaced::TYPE);
    message.metadata.content_type = Some("application/json".to_owned());
    message
}

/// Counts each connection that comes up after a loss.
fn count_reconnects(client: &Client, stats: &Arc<Stats>, watchers: &mut JoinSet<()>) {
    let mut events = client.events();
    let stats = Arc::clone(stats);
    watchers.spawn(async move {
        while let Some(event) = events.next().await {
            if matches!(event, Event::Connected { epoch, .. } if epoch > 1) {
                stats.reconnects.up();
            }
        }
    });
}
