//! Publishing: `Ok` means that the broker confirmed the message and routed it to a queue.

use std::time::Duration;

use garenne::{PublishErrorKind, prelude::*};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", exchange = "examples.publish", key = "order.placed.{region}")]
struct OrderPlaced {
    id: u64,
    region: String,
}

/// Publishes an order that a queue takes, and orders that no queue takes.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    // The queue vanishes a minute after its last use.
    let europe = Queue::quorum("examples.publish.europe").bind("examples.publish", "order.placed.eu");
    let europe = europe.expires(Duration::from_secs(60)).without_dead_letter();
    client.apply(&Topology::new().exchange(Exchange::topic("examples.publish")).queue(europe)).await?;

    let publisher = Publisher::new(client);
    let order = OrderPlaced { id: 1, region: "eu".into() };
    let receipt = publisher.publish(&order).header("tenant", "t1").message_id("order-1").await?;
    assert_eq!((receipt.message_id.as_str(), receipt.routed), ("order-1", true));
    println!("confirmed in {:?}, attempts: {}", receipt.latency, receipt.attempts);

    // Nothing is lost in silence: a message that no queue takes is an error,
    let order = OrderPlaced { id: 2, region: "nowhere".into() };
    let error = publisher.publish(&order).await.expect_err("no queue takes it");
    assert_eq!(error.kind(), PublishErrorKind::Unroutable);
    println!("as expected: {error}");

    // unless that is fine with you.
    let receipt = publisher.publish(&order).allow_unroutable().await?;
    assert!(!receipt.routed);
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
