//! Faults of answers: what is held back, swallowed or never asked for, at every step of the protocol.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _};
use garenne_embedded::{AnswerFault, Broker, Fault};
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions,
    BasicQosOptions, ConfirmSelectOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};

/// Nothing here takes longer, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("it comes in time")
}

async fn broker() -> Broker {
    Broker::start().await.expect("the broker starts")
}

async fn connect(broker: &Broker, name: &str) -> Result<Connection, lapin::Error> {
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    within(Connection::connect(broker.url(), properties)).await
}

async fn channel(connection: &Connection) -> Channel {
    within(connection.create_channel()).await.expect("a channel opens")
}

/// Takes every step that is answered, on a connection of its own.
async fn every_step(broker: &Broker) {
    let connection = connect(broker, "steps").await.expect("guest may connect");
    let channel = channel(&connection).await;
    let none = FieldTable::default;
    let steps = async {
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channel.basic_qos(10, BasicQosOptions::default()).await?;
        channel
            .exchange_declare("x".into(), ExchangeKind::Fanout, ExchangeDeclareOptions::default(), none())
            .await?;
        channel.queue_declare("q".into(), QueueDeclareOptions::default(), none()).await?;
        channel.queue_bind("q".into(), "x".into(), "".into(), QueueBindOptions::default(), none()).await?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        for key in ["q", "nowhere"] {
            channel
                .basic_publish("".into(), key.into(), options, b"m", BasicProperties::default())
                .await?
                .await?;
        }
        let got = channel.basic_get("q".into(), BasicGetOptions::default()).await?.expect("a message");
        got.delivery.acker.reject(lapin::options::BasicRejectOptions { requeue: true }).await?;
        let mut consumer =
            channel.basic_consume("q".into(), "c".into(), BasicConsumeOptions::default(), none()).await?;
        consumer.next().await.expect("a delivery")?.acker.ack(BasicAckOptions::default()).await?;
        channel.basic_cancel("c".into(), BasicCancelOptions::default()).await?;
        assert!(channel.basic_get("q".into(), BasicGetOptions::default()).await?.is_none());
        channel.queue_purge("q".into(), QueuePurgeOptions::default()).await?;
        channel.queue_unbind("q".into(), "x".into(), "".into(), none()).await?;
        channel.queue_delete("q".into(), QueueDeleteOptions::default()).await?;
        channel.exchange_delete("x".into(), ExchangeDeleteOptions::default()).await?;
        channel.close(200, "bye".into()).await?;
        connection.close(200, "bye".into()).await
    };
    within(steps).await.expect("each step is answered");
}

#[tokio::test]
async fn every_step_of_the_protocol_can_be_answered_late() {
    let broker = broker().await;
    for answer in [
        "connection.start",
        "connection.tune",
        "connection.open-ok",
        "channel.open-ok",
        "confirm.select-ok",
        "basic.qos-ok",
        "exchange.declare-ok",
        "queue.declare-ok",
        "queue.bind-ok",
        "basic.return",
        "basic.ack",
        "basic.get-ok",
        "basic.consume-ok",
        "basic.deliver",
        "basic.cancel-ok",
        "basic.get-empty",
        "queue.purge-ok",
        "queue.unbind-ok",
        "queue.delete-ok",
        "exchange.delete-ok",
        "channel.close-ok",
        "connection.close-ok",
    ] {
        broker.faults().on_answer(AnswerFault::hold(answer).nth(1));
        let late = async {
            broker.wait_until(|state| state.held_channels == 1).await;
            broker.faults().release_answers();
        };
        tokio::join!(every_step(&broker), late);
    }
}

#[tokio::test]
async fn what_follows_a_held_answer_waits_on_its_channel_alone() {
    let broker = broker().await;
    let connection = connect(&broker, "app").await.expect("guest may connect");
    let (held, other) = (channel(&connection).await, channel(&connection).await);
    let declare = other.queue_declare("q".into(), QueueDeclareOptions::default(), FieldTable::default());
    within(declare).await.expect("declared");
    broker.faults().on_answer(AnswerFault::hold("basic.consume-ok"));
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut consume = Box::pin(held.basic_consume("q".into(), "c".into(), options, FieldTable::default()));
    assert!(consume.as_mut().now_or_never().is_none());
    broker.wait_until(|state| state.held_channels == 1).await;
    let publish = other.basic_publish(
        "".into(),
        "q".into(),
        BasicPublishOptions::default(),
        b"m",
        BasicProperties::default(),
    );
    within(publish).await.expect("published");
    within(other.basic_qos(1, BasicQosOptions::default())).await.expect("the other channel is answered");
    assert!(consume.as_mut().now_or_never().is_none());
    broker.faults().release_answers();
    let mut consumer = within(consume).await.expect("answered at last");
    let delivery = within(consumer.next()).await.expect("a delivery").expect("of a message");
    assert_eq!(delivery.data, b"m");
}

#[tokio::test]
async fn an_answer_is_swallowed_for_those_who_are_meant() {
    let broker = broker().await;
    broker.faults().on_answer(AnswerFault::swallow("channel.open-ok").to("/publish"));
    let publish = connect(&broker, "app/publish").await.expect("guest may connect");
    let consume = connect(&broker, "app/consume").await.expect("guest may connect");
    let mut never = Box::pin(publish.create_channel());
    assert!(never.as_mut().now_or_never().is_none());
    channel(&consume).await;
    broker.wait_until(|state| state.connections.iter().all(|open| open.channels.len() == 1)).await;
    assert!(never.now_or_never().is_none(), "the broker has opened it, and its client does not know");
}

#[tokio::test]
async fn a_connection_that_swallows_answers_nothing_while_new_ones_work() {
    let broker = broker().await;
    let deaf = connect(&broker, "deaf").await.expect("guest may connect");
    let other = connect(&broker, "other").await.expect("guest may connect");
    let (lost, fine) = (channel(&deaf).await, channel(&other).await);
    broker.faults().strike_named("deaf", &Fault::Swallow);
    let mut never = Box::pin(lost.basic_qos(1, BasicQosOptions::default()));
    assert!(never.as_mut().now_or_never().is_none());
    within(fine.basic_qos(1, BasicQosOptions::default())).await.expect("answered");
    let fresh = connect(&broker, "deaf").await.expect("a new connection works");
    channel(&fresh).await;
    assert!(never.now_or_never().is_none());
    assert!(deaf.status().connected() && broker.state().connections.len() == 3);
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let broker = broker().await;
    let before = connect(&broker, "before").await.expect("guest may connect");
    broker.faults().refuse_connections(true);
    for _ in 0..2 {
        connect(&broker, "late").await.expect_err("nobody listens");
    }
    channel(&before).await;
    broker.faults().refuse_connections(false);
    connect(&broker, "after").await.expect("it listens again");
}

#[tokio::test]
async fn the_second_declare_of_a_channel_is_refused_with_a_code() {
    let broker = broker().await;
    let connection = connect(&broker, "app").await.expect("guest may connect");
    let fault = Fault::CloseChannel { code: 405, text: "RESOURCE_LOCKED - busy".to_owned() };
    broker.faults().on_nth_method("queue.declare", 2, fault);
    let channel = channel(&connection).await;
    let declare = || channel.queue_declare("q".into(), QueueDeclareOptions::default(), FieldTable::default());
    within(declare()).await.expect("the first is fine");
    let error = within(declare()).await.expect_err("the second is refused");
    assert!(error.to_string().contains("RESOURCE"), "{error}");
}
