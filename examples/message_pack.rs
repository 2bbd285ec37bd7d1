//! MessagePack instead of JSON: one line where the client is made. Consumers read either, by the content type.

use garenne::{Codecs, prelude::*};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Clone, Serialize, Deserialize, Message)]
#[message(type = "reading.taken.v1", key = "examples.readings")]
struct ReadingTaken {
    sensor: u32,
    celsius: f64,
}

/// Publishes a reading as MessagePack and as JSON, and reads both.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    client.apply(&Topology::new().queue(Queue::quorum("examples.readings").dead_letter())).await?;
    let packed = client.clone().with_codecs(Codecs::message_pack());
    let reading = ReadingTaken { sensor: 3, celsius: 21.5 };
    Publisher::new(&packed).publish(&reading).await?;
    Publisher::new(client).publish(&reading).await?;

    let (seen, mut arrivals) = mpsc::channel(8);
    let store = move |reading: ReadingTaken, cx: Context| {
        let seen = seen.clone();
        async move {
            let size = cx.incoming().body.len();
            println!("{} degrees in {size} bytes of {:?}", reading.celsius, cx.metadata().content_type);
            seen.send((cx.metadata().content_type.clone(), size)).await.or_retry()
        }
    };
    let mut all = Vec::new();
    // With one at a time, the messages are handled in order.
    Service::new(client)
        .consume(Consumer::new("examples.readings").concurrency(1).handle(store))
        .run_until(async {
            while all.len() < 2 {
                all.extend(arrivals.recv().await);
            }
        })
        .await?;
    let types: Vec<_> = all.iter().map(|(content_type, _)| content_type.as_deref()).collect();
    assert_eq!(types, [Some("application/msgpack"), Some("application/json")]);
    assert!(all[0].1 < all[1].1, "MessagePack is smaller");
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
