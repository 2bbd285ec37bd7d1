//! Testing a service on the embedded broker: no Docker, no waiting, and the failures that production has in store.

use std::time::Duration;

use garenne::prelude::*;
use garenne_embedded::inspect::Fate;
use garenne_embedded::{Broker, Fault};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Message)]
#[message(type = "payment.requested.v1", key = "payments")]
struct PaymentRequested {
    card: String,
}

/// What is tested: a card that is declined is no reason to try again.
async fn charge(payment: PaymentRequested, _: Context) -> Result<(), Failure> {
    if payment.card == "declined" {
        return Err(Failure::dead_letter(std::io::Error::other("the card was declined")));
    }
    Ok(())
}

/// The topology of the service, as its `main` applies it.
fn topology() -> Topology {
    Topology::new().queue(Queue::quorum("payments").dead_letter())
}

/// Runs the service while `test` has the broker and a publisher.
async fn with_service(
    broker: &Broker,
    test: impl AsyncFnOnce(&Publisher) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let client = Client::connect(broker.url()).await?;
    client.apply(&topology()).await?;
    let mut outcome = Ok(());
    Service::new(&client)
        .consume(Consumer::new("payments").handle(charge))
        .run_until(async { outcome = test(&Publisher::new(&client)).await })
        .await?;
    client.close().await;
    outcome
}

/// A declined card is put aside with the reason, and the broker's books say so.
pub async fn a_declined_card_is_dead_lettered() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    with_service(&broker, async |publisher| {
        for card in ["good", "declined"] {
            publisher.publish(&PaymentRequested { card: card.into() }).await?;
        }
        // No sleep: the condition is looked at whenever something happens, and the state is shown if it never holds.
        let is_done = |queue: &str, state: &garenne_embedded::inspect::State| {
            state.queue(queue).is_some_and(|queue| queue.depth() == 0)
        };
        broker.wait_until(|state| is_done("payments", state) && state.ready("payments.dlq") == 1).await;
        Ok(())
    })
    .await?;
    let published = broker.published();
    assert!(matches!(published[0].fate("payments"), Some(Fate::Acked { .. })));
    let headers = published.last().and_then(|dead| dead.properties.headers().clone());
    assert!(headers.is_some_and(|headers| headers.contains_key(garenne::header::ERROR_MESSAGE)));
    Ok(())
}

/// The connection is cut at the third publish: it is sent again, and nothing is lost.
pub async fn a_lost_connection_loses_no_payment() -> anyhow::Result<()> {
    let broker = Broker::start().await?;
    with_service(&broker, async |publisher| {
        broker.faults().on_nth_publish(3, Fault::CutConnection);
        for n in 0..5 {
            publisher.publish(&PaymentRequested { card: format!("card {n}") }).await?;
        }
        broker.wait_until(|state| state.queue("payments").is_some_and(|queue| queue.depth() == 0)).await;
        Ok(())
    })
    .await?;
    assert_eq!(broker.faults().log().len(), 1, "the fault did strike");
    let acked = broker
        .published()
        .iter()
        .filter(|one| matches!(one.fate("payments"), Some(Fate::Acked { .. })))
        .count();
    assert_eq!(acked, 5);
    Ok(())
}

/// Eight hours pass at once: a message that nobody wanted in that time goes to the dead letters.
pub async fn a_forgotten_payment_expires_after_eight_hours() -> anyhow::Result<()> {
    let broker = Broker::builder().paused_clock().start().await?;
    let client = Client::connect(broker.url()).await?;
    let eight_hours = Duration::from_secs(8 * 3600);
    client
        .apply(&Topology::new().queue(Queue::quorum("payments").message_ttl(eight_hours).dead_letter()))
        .await?;
    Publisher::new(&client).publish(&PaymentRequested { card: "forgotten".into() }).await?;
    broker.advance(eight_hours - Duration::from_millis(1));
    assert_eq!(broker.state().ready("payments"), 1);
    broker.advance(Duration::from_millis(1));
    assert_eq!((broker.state().ready("payments"), broker.state().ready("payments.dlq")), (0, 1));
    client.close().await;
    Ok(())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    a_declined_card_is_dead_lettered().await?;
    a_lost_connection_loses_no_payment().await?;
    a_forgotten_payment_expires_after_eight_hours().await?;
    println!("all of it without RabbitMQ");
    Ok(())
}
