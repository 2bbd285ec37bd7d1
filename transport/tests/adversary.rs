//! Every publish gets its own verdict, from a broker that does its worst within the specification: confirms in any order, single and
//! `multiple`, late, and far from the returns that belong to them.
//!
//! The peer that must fail is the obvious verdict: whoever's confirm carries a returned message was returned. If that
//! were right here, the broker would not be adversarial and the first test would prove nothing.

use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use garenne_embedded::Broker;
use garenne_embedded::faults::ConfirmOrder;
use garenne_shared::{DeliveryMode, Outgoing};
use garenne_transport::{Client, ConfirmChannel, PublishErrorKind};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use tokio::task::JoinSet;

const PUBLISHERS: u64 = 8;
const EACH: u64 = 125_000;
/// How many publishes of the obvious kind are enough to catch it.
const OBVIOUS_EACH: u64 = 2_500;
const WINDOW: usize = 500;
const QUEUE: &str = "sink";

/// Starts the adversary with a queue that holds little, and returns it with a connection of raw lapin.
async fn adversary(seed: u64) -> (Broker, Connection) {
    let broker = Broker::builder().history(0).start().await.expect("the broker starts");
    let faults = broker.faults();
    faults.seed(seed);
    faults.order_confirms(ConfirmOrder::Adversarial);
    faults.delay_confirms(Duration::from_millis(1));
    let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await;
    let connection = connection.expect("the broker answers");
    let channel = connection.create_channel().await.expect("a channel opens");
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), 10.into());
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), options, arguments).await.expect("the queue is declared");
    (broker, connection)
}

/// A tenth has nowhere to go.
fn is_routed(publisher: u64, n: u64) -> bool {
    !(n + publisher).is_multiple_of(10)
}

fn key(is_routed: bool) -> &'static str {
    if is_routed { QUEUE } else { "nowhere" }
}

async fn publisher(channel: ConfirmChannel, publisher: u64) -> u64 {
    let mut verdicts = stream::iter(0..EACH)
        .map(|n| {
            let channel = &channel;
            async move {
                let is_routed = is_routed(publisher, n);
                let mut message = Outgoing::new("", key(is_routed), Vec::new());
                message.metadata.message_id = Some(format!("{publisher}-{n}"));
                message.metadata.delivery_mode = DeliveryMode::Transient;
                let outcome = match channel.send(message).await {
                    Ok(confirm) => confirm.await,
                    Err(error) => Err(error),
                };
                match outcome {
                    Ok(confirmed) => is_routed && confirmed.routed,
                    Err(error) => !is_routed && error.kind() == PublishErrorKind::Unroutable,
                }
            }
        })
        .buffer_unordered(WINDOW);
    let mut wrong = 0;
    while let Some(is_right) = verdicts.next().await {
        wrong += u64::from(!is_right);
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn no_verdict_of_a_million_is_wrong_on_the_worst_broker() {
    let (broker, _connection) = adversary(1).await;
    let client = Client::connect(broker.url()).await.expect("the broker answers");
    let mut publishers = JoinSet::new();
    for n in 0..PUBLISHERS {
        publishers.spawn(publisher(client.confirm_channel(), n));
    }
    let wrong: u64 = publishers.join_all().await.into_iter().sum();
    assert_eq!(wrong, 0, "of {} verdicts", PUBLISHERS * EACH);
    client.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_obvious_verdict_is_wrong_on_the_worst_broker() {
    let (_broker, connection) = adversary(1).await;
    let channel = connection.create_channel().await.expect("a channel opens");
    channel.confirm_select(ConfirmSelectOptions::default()).await.expect("confirms are on");
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let channel = channel.clone();
        publishers.spawn(async move {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            stream::iter(0..OBVIOUS_EACH)
                .map(|n| {
                    let (channel, is_routed) = (&channel, is_routed(publisher, n));
                    async move {
                        let properties = BasicProperties::default();
                        let confirm =
                            channel.basic_publish("".into(), key(is_routed).into(), options, b"", properties);
                        let confirmation = confirm.await?.await?;
                        Ok::<_, lapin::Error>(is_routed == matches!(confirmation, Confirmation::Ack(None)))
                    }
                })
                .buffer_unordered(WINDOW)
                .try_fold(0_u64, async |wrong, is_right| Ok(wrong + u64::from(!is_right)))
                .await
                .expect("the connection holds")
        });
    }
    let wrong: u64 = publishers.join_all().await.into_iter().sum();
    assert!(wrong > 0, "the broker is not adversarial: of {} not one was wrong", PUBLISHERS * OBVIOUS_EACH);
}
