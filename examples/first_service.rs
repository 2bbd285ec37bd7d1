//! The first service of the README. Runs until Ctrl-C.

use std::time::Duration;

use garenne::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, Message)]
#[message(type = "order.placed.v1", exchange = "orders", key = "order.placed.{region}")]
struct OrderPlaced {
    id: u64,
    region: String,
    cents: u64,
}

struct Billing;

#[async_trait]
impl Handler<OrderPlaced> for Billing {
    async fn handle(&self, order: OrderPlaced, cx: Context) -> Result<(), Failure> {
        println!("charging {} cents for order {}, attempt {}", order.cents, order.id, cx.attempt());
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), garenne::Error> {
    tracing_subscriber::fmt().init();
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("billing")).await?;
    let queue = Queue::quorum("billing").bind("orders", "order.placed.*").dead_letter();
    let consumer = Consumer::of(&queue).concurrency(16).timeout(Duration::from_secs(5)).handle(Billing);
    client.apply(&Topology::new().exchange(Exchange::topic("orders")).queue(queue)).await?;
    Service::new(&client).consume(consumer).run_until(shutdown_signal()).await
}
