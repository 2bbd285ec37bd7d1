//! A message type that goes one way needs one half of serde.

use garenne::{Bytes, prelude::*};
use garenne_embedded::Broker;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// What the shop publishes. It borrows, so nothing could deserialize it.
#[derive(Serialize, Message)]
#[message(type = "order.placed.v1", key = "billing")]
struct Placed {
    id: u64,
    region: &'static str,
}

/// What billing reads of it.
#[derive(Debug, PartialEq, Deserialize, Message)]
#[message(type = "order.placed.v1")]
struct Order {
    id: u64,
    #[serde(skip)]
    note: Bytes,
}

#[tokio::test]
async fn what_is_only_published_needs_no_deserialize_and_what_is_only_handled_no_serialize()
-> anyhow::Result<()> {
    let broker = Broker::start().await?;
    let client = Client::connect(broker.url()).await?;
    client.apply(&Topology::new().queue(Queue::quorum("billing").dead_letter())).await?;
    Publisher::new(&client).publish(&Placed { id: 7, region: "eu" }).await?;

    let (seen, mut orders) = mpsc::channel(1);
    let bill = move |order: Order, _: Context| {
        let seen = seen.clone();
        async move { seen.send(order).await.or_retry() }
    };
    let mut order = None;
    Service::new(&client)
        .consume(Consumer::new("billing").handle(bill))
        .run_until(async { order = orders.recv().await })
        .await?;
    assert_eq!(order, Some(Order { id: 7, note: Bytes::new() }));
    Ok(())
}
