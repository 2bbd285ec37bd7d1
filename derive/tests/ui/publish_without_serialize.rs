use garenne::prelude::*;
use serde::Deserialize;

#[derive(Deserialize, Message)]
#[message(type = "order.placed.v1")]
struct OrderPlaced {
    id: u64,
}

async fn publish(publisher: Publisher, order: OrderPlaced) {
    let _ = publisher.publish(&order).await;
}

fn main() {}
