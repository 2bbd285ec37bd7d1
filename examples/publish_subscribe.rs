//! Publish and subscribe: every subscriber has a queue of its own and gets every message.

use garenne::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize, Message)]
#[message(type = "price.changed.v1", exchange = "examples.prices")]
struct PriceChanged {
    article: String,
    cents: u64,
}

/// Publishes two prices to two subscribers.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    let topology = Topology::new()
        .exchange(Exchange::fanout("examples.prices"))
        .queue(Queue::quorum("examples.shop").bind("examples.prices", "").dead_letter())
        .queue(Queue::quorum("examples.search").bind("examples.prices", "").dead_letter());
    client.apply(&topology).await?;

    let publisher = Publisher::new(client);
    for (article, cents) in [("tea", 350), ("milk", 120)] {
        publisher.publish(&PriceChanged { article: article.into(), cents }).await?;
    }

    let (seen, mut arrivals) = mpsc::channel(8);
    let subscriber = |queue: &'static str| {
        let seen = seen.clone();
        Consumer::new(queue).handle(move |price: PriceChanged, cx: Context| {
            let seen = seen.clone();
            async move {
                println!("{}: {} costs {} cents", cx.queue(), price.article, price.cents);
                seen.send((queue, price.article)).await.or_retry()
            }
        })
    };
    let mut all = Vec::new();
    let service =
        Service::new(client).consume(subscriber("examples.shop")).consume(subscriber("examples.search"));
    service
        .run_until(async {
            while all.len() < 4 {
                all.extend(arrivals.recv().await);
            }
        })
        .await?;
    all.sort_unstable();
    let expected = [("search", "milk"), ("search", "tea"), ("shop", "milk"), ("shop", "tea")];
    let expected = expected.map(|(queue, article)| (format!("examples.{queue}"), article.to_owned()));
    assert!(all.into_iter().map(|(queue, article)| (queue.to_owned(), article)).eq(expected));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
