//! Competing consumers: two consumers share the work of one queue, and each message goes to one of them.

use std::collections::BTreeSet;

use garenne::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, Sender};

// The default exchange routes to the queue whose name is the key.
#[derive(Serialize, Deserialize, Message)]
#[message(type = "image.resize.v1", key = "examples.resize")]
struct Resize {
    image: u32,
}

struct Worker {
    name: &'static str,
    done: Sender<(&'static str, u32)>,
}

#[async_trait]
impl Handler<Resize> for Worker {
    async fn handle(&self, work: Resize, _: Context) -> Result<(), Failure> {
        self.done.send((self.name, work.image)).await.or_retry()
    }
}

/// Gives 20 pieces of work to two workers.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    client.apply(&Topology::new().queue(Queue::quorum("examples.resize").dead_letter())).await?;

    let (done, mut finished) = mpsc::channel(64);
    let worker = |name| {
        // With one message at a time, whoever is free takes the next.
        let consumer = Consumer::new("examples.resize").concurrency(1).prefetch(1);
        consumer.handle(Worker { name, done: done.clone() })
    };
    let (mut workers, mut images) = (BTreeSet::new(), Vec::new());
    let service = Service::new(client).consume(worker("left")).consume(worker("right"));
    service
        .run_until(async {
            let publisher = Publisher::new(client);
            for image in 1..=20 {
                publisher.publish(&Resize { image }).await.expect("the queue takes it");
            }
            while images.len() < 20 {
                let (worker, image) = finished.recv().await.expect("the workers are there");
                println!("{worker} resized image {image}");
                workers.insert(worker);
                images.push(image);
            }
        })
        .await?;
    images.sort_unstable();
    assert!(images.into_iter().eq(1..=20), "each image was resized once");
    assert_eq!(workers.len(), 2, "both took part");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
