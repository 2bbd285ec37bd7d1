//! Dead letters: a message that cannot be handled goes aside with the reason in its headers.

use garenne::{header, prelude::*};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

#[derive(Serialize, Deserialize, Message)]
#[message(type = "payment.made.v1", key = "examples.payments")]
struct PaymentMade {
    amount: String,
}

async fn book(payment: PaymentMade, _: Context) -> Result<(), Failure> {
    // No further attempt makes a number of what is none.
    let cents: u64 = payment.amount.parse().or_dead_letter()?;
    println!("booked {cents} cents");
    Ok(())
}

/// Publishes a payment that is none, and reads it from the dead-letter queue.
pub async fn run(client: &Client) -> anyhow::Result<()> {
    // The queue `examples.payments.dlq` comes along.
    client.apply(&Topology::new().queue(Queue::quorum("examples.payments").dead_letter())).await?;
    let publisher = Publisher::new(client);
    for amount in ["4200", "a lot"] {
        publisher.publish(&PaymentMade { amount: amount.into() }).await?;
    }

    let (seen, mut arrivals) = mpsc::channel(8);
    let inspect = move |cx: Context| {
        let seen = seen.clone();
        async move { seen.send(cx.incoming().clone()).await.or_retry() }
    };
    let mut dead = None;
    Service::new(client)
        .consume(Consumer::new("examples.payments").handle(book))
        .consume(Consumer::new("examples.payments.dlq").handle_raw(inspect))
        .run_until(async { dead = arrivals.recv().await })
        .await?;
    let dead = dead.expect("it was put aside");
    let why = dead.metadata.headers.text(header::ERROR_MESSAGE);
    println!("{} was put aside: {why:?}", String::from_utf8_lossy(&dead.body));
    assert_eq!(why, Some("invalid digit found in string"));
    assert_eq!(dead.metadata.headers.text(header::ORIGIN_QUEUE), Some("examples.payments"));
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let client = Client::connect(Config::from_vars(std::env::vars_os())?.service("examples")).await?;
    run(&client).await?;
    client.close().await;
    Ok(())
}
