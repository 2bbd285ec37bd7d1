//! Every fault hook of the embedded broker, and what the framework makes of it: each test asks for one fault and sees it strike.

use std::time::Duration;

use garenne_embedded::faults::{ConfirmOrder, ConnectFault, Fault};
use garenne_embedded::{Broker, inspect::Fate};
use garenne_shared::{Config, Retry};
use garenne_tests::wire::{Confirm, Wire};
use garenne_tests::{SECONDS, eventually};
use garenne_topology::{Queue, Topology};
use garenne_transport::{Client, ErrorKind, PublishErrorKind, Settlement, Subscription};

use crate::publishing::{QUEUE, direct, publish};

/// A broker with a queue, and a client that comes back at once.
async fn start() -> (Broker, Client) {
    let broker = Broker::start().await.expect("the broker starts");
    let client = Client::connect(config(&broker)).await.expect("it answers");
    client.apply(&Topology::new().queue(Queue::quorum(QUEUE))).await.expect("the queue is declared");
    (broker, client)
}

fn config(broker: &Broker) -> Config {
    let mut config = Config::from_url(broker.url()).expect("the broker's URL is valid");
    config.connection.reconnect = Retry::exponential(Duration::from_millis(1)..=Duration::from_millis(50));
    config
}

fn subscription() -> Subscription {
    Subscription::new(QUEUE).prefetch(10)
}

/// What a publish came to: confirmed, or why not.
async fn outcome(client: &Client, body: &str) -> Result<(), PublishErrorKind> {
    publish(&client.confirm_channel(), direct(body)).await.map(drop).map_err(|error| error.kind())
}

#[tokio::test]
async fn a_cut_instead_of_a_publish_loses_it_and_one_after_it_keeps_it() {
    for (fault, stored) in [(Fault::CutConnection, 0), (Fault::CutConnectionAfter, 1)] {
        let (broker, client) = start().await;
        broker.faults().on_nth_publish(3, fault.clone());
        for n in 1..=4 {
            let expected = if n == 3 { Err(PublishErrorKind::Unknown) } else { Ok(()) };
            assert_eq!(outcome(&client, &n.to_string()).await, expected, "publish {n} with {fault:?}");
        }
        assert_eq!(broker.state().ready(QUEUE), 3 + stored, "{fault:?}");
        let [injected] = &broker.faults().log()[..] else { panic!("one fault struck") };
        assert_eq!((injected.method, &injected.fault), ("basic.publish", &fault));
        client.close().await;
    }
}

#[tokio::test]
async fn the_nth_publish_is_refused_and_not_stored() {
    let (broker, client) = start().await;
    broker.faults().on_nth_publish(2, Fault::Nack);
    assert_eq!(outcome(&client, "one").await, Ok(()));
    assert_eq!(outcome(&client, "two").await, Err(PublishErrorKind::Nacked));
    assert_eq!(outcome(&client, "three").await, Ok(()));
    assert_eq!(broker.state().ready(QUEUE), 2);
    client.close().await;
}

#[tokio::test]
async fn a_withheld_confirm_comes_when_it_is_released() {
    let (broker, client) = start().await;
    broker.faults().on_nth_publish(1, Fault::WithholdConfirm);
    let held = client.confirm_channel().send(direct("held")).await.expect("it is sent");
    assert_eq!(outcome(&client, "overtakes").await, Ok(()));
    broker.faults().release_confirms();
    held.await.expect("it was stored all the time");
    broker.faults().withhold_confirms();
    let held = client.confirm_channel().send(direct("held")).await.expect("it is sent");
    broker.wait_until(|state| state.ready(QUEUE) == 3).await;
    broker.faults().clear();
    held.await.expect("clearing lets it go");
    client.close().await;
}

#[tokio::test]
async fn delayed_confirms_come_with_the_clock() {
    let broker = Broker::builder().paused_clock().start().await.expect("the broker starts");
    let client = Client::connect(config(&broker)).await.expect("it answers");
    client.apply(&Topology::new().queue(Queue::quorum(QUEUE))).await.expect("the queue is declared");
    broker.faults().delay_confirms(Duration::from_secs(3600));
    let pending = client.confirm_channel().send(direct("late")).await.expect("it is sent");
    broker.wait_until(|state| state.ready(QUEUE) == 1).await;
    assert_eq!(client.health().unconfirmed, 1);
    broker.advance(Duration::from_secs(3600));
    pending.await.expect("an hour is over");
    client.close().await;
}

#[tokio::test]
async fn confirms_in_any_order_are_told_apart() {
    for order in [ConfirmOrder::Single, ConfirmOrder::Reversed, ConfirmOrder::Adversarial] {
        let (broker, client) = start().await;
        broker.faults().seed(7);
        broker.faults().order_confirms(order);
        broker.faults().delay_confirms(Duration::from_millis(20));
        let channel = client.confirm_channel();
        let mut pending = Vec::new();
        for n in 0..50_u32 {
            let mut message = direct(n.to_string());
            if n.is_multiple_of(5) {
                message.routing_key = "nowhere".into();
            }
            pending.push(channel.send(message).await.expect("it is sent"));
        }
        for (n, confirm) in pending.into_iter().enumerate() {
            assert_eq!(confirm.await.is_ok(), n % 5 != 0, "publish {n} with {order:?}");
        }
        client.close().await;
    }
}

#[tokio::test]
async fn a_closed_channel_is_opened_again_on_the_same_connection() {
    let (broker, client) = start().await;
    assert_eq!(outcome(&client, "before").await, Ok(()));
    let text = "by order of the test".to_owned();
    broker.faults().on_nth_publish(1, Fault::CloseChannel { code: 406, text });
    assert!(outcome(&client, "lost").await.is_err());
    assert_eq!(outcome(&client, "after").await, Ok(()));
    assert_eq!(client.health().publish.epoch, 1, "the connection stayed");
    client.close().await;
}

#[tokio::test]
async fn a_closed_connection_is_made_again() {
    let (broker, client) = start().await;
    assert_eq!(outcome(&client, "before").await, Ok(()));
    let text = "Node is put into maintenance mode".to_owned();
    broker.faults().strike(&Fault::CloseConnection { code: 320, text });
    eventually(60 * SECONDS, "a publish goes through", async || outcome(&client, "after").await).await;
    assert_eq!(client.health().publish.epoch, 2);
    client.close().await;
}

#[tokio::test]
async fn a_half_open_connection_is_found_by_its_heartbeat() {
    let (broker, _) = start().await;
    let mut config = config(&broker);
    config.connection.heartbeat = Duration::from_secs(1);
    let client = Client::connect(config).await.expect("the broker answers");
    assert_eq!(outcome(&client, "before").await, Ok(()));
    broker.faults().on_nth_publish(1, Fault::HalfOpen);
    assert_eq!(outcome(&client, "no answer").await, Err(PublishErrorKind::Unknown));
    assert_eq!(outcome(&client, "after").await, Ok(()));
    assert_eq!(client.health().publish.epoch, 2);
    client.close().await;
}

#[tokio::test]
async fn a_blocked_connection_publishes_when_it_is_unblocked() {
    let (broker, client) = start().await;
    assert_eq!(outcome(&client, "before").await, Ok(()));
    broker.faults().strike(&Fault::Block { reason: "low on memory".to_owned() });
    eventually(60 * SECONDS, "the client knows", async || {
        if client.health().publish.blocked_for.is_some() { Ok(()) } else { Err(client.health()) }
    })
    .await;
    broker.faults().strike(&Fault::Unblock);
    eventually(60 * SECONDS, "a publish goes through", async || outcome(&client, "after").await).await;
    client.close().await;
}

#[tokio::test]
async fn a_pause_in_reading_delays_what_follows_and_loses_nothing() {
    let (broker, client) = start().await;
    broker.faults().on_nth_publish(1, Fault::PauseReading(Duration::from_millis(200)));
    assert_eq!(outcome(&client, "one").await, Ok(()));
    assert_eq!(outcome(&client, "two").await, Ok(()));
    assert_eq!(broker.state().ready(QUEUE), 2);
    client.close().await;
}

#[tokio::test]
async fn a_cancelled_consumer_subscribes_again() {
    let (broker, client) = start().await;
    let mut subscriber = client.subscribe(subscription()).await.expect("the queue is there");
    broker.wait_until(|state| state.queue(QUEUE).is_some_and(|queue| queue.consumers.len() == 1)).await;
    let first = broker.state().queue(QUEUE).expect("it is there").consumers[0].tag.clone();
    broker.faults().strike(&Fault::CancelConsumers);
    broker
        .wait_until(|state| {
            state
                .queue(QUEUE)
                .is_some_and(|queue| queue.consumers.iter().any(|consumer| consumer.tag != first))
        })
        .await;
    assert_eq!(outcome(&client, "work").await, Ok(()));
    let delivery = subscriber.next().await.expect("it is delivered");
    delivery.unsettled.settle(Settlement::Ack);
    broker.wait_until(|state| state.queue(QUEUE).is_some_and(|queue| queue.depth() == 0)).await;
    subscriber.close(10 * SECONDS).await.expect("everything is settled");
    client.close().await;
}

#[tokio::test]
async fn a_redelivered_message_comes_again_with_the_flag() {
    let (broker, client) = start().await;
    let mut subscriber = client.subscribe(subscription()).await.expect("the queue is there");
    assert_eq!(outcome(&client, "work").await, Ok(()));
    let first = subscriber.next().await.expect("it is delivered");
    assert!(!first.message.redelivered);
    broker.faults().strike(&Fault::Redeliver);
    let again = subscriber.next().await.expect("it comes again");
    assert!(again.message.redelivered);
    again.unsettled.settle(Settlement::Ack);
    broker.wait_until(|state| state.queue(QUEUE).is_some_and(|queue| queue.depth() == 0)).await;
    let published = broker.published();
    let fate = published[0].fate(QUEUE).expect("it reached the queue");
    assert!(matches!(fate, Fate::Acked { consumer: Some(_) }), "{fate:?}");
    let [before] = &published[0].requeues[..] else { panic!("it was given back once: {}", published[0]) };
    assert_eq!((&*before.queue, before.consumer.is_some(), before.how), (QUEUE, true, "nack"));
    drop(first);
    client.close().await;
}

#[tokio::test]
async fn a_client_gets_through_after_connections_that_fail_in_every_way() {
    let (broker, _client) = start().await;
    for fault in [
        ConnectFault::Refuse,
        ConnectFault::AcceptThenClose,
        ConnectFault::CutAfterReceived(8),
        ConnectFault::CutAfterReceived(100),
        ConnectFault::CutAfterSent(1),
        ConnectFault::CutAfterSent(400),
    ] {
        broker.faults().on_nth_connection(1, fault);
        let error = Client::connect(config(&broker)).await.expect_err("the first connection fails");
        assert_eq!(error.kind(), ErrorKind::Unreachable, "{fault:?}: {error}");
        let client = Client::connect(config(&broker)).await.expect("the next one holds");
        assert_eq!(outcome(&client, "work").await, Ok(()), "after {fault:?}");
        client.close().await;
    }
}

#[tokio::test]
async fn a_silent_broker_is_given_up_in_time() {
    let (broker, _client) = start().await;
    broker.faults().on_every_connection(ConnectFault::Silent);
    let mut config = config(&broker);
    config.connection.connect_timeout = Duration::from_millis(300);
    let error = Client::connect(config.clone()).await.expect_err("nobody says a word");
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    broker.faults().clear();
    Client::connect(config).await.expect("it speaks again").close().await;
}

#[tokio::test]
async fn a_slow_reader_slows_the_publisher_and_loses_nothing() {
    let (broker, _client) = start().await;
    broker.faults().on_every_connection(ConnectFault::SlowReader { bytes_per_second: 20_000 });
    let client = Client::connect(config(&broker)).await.expect("the broker answers slowly");
    for n in 0..5_u32 {
        assert_eq!(outcome(&client, &"x".repeat(1_000)).await, Ok(()), "publish {n}");
    }
    assert_eq!(broker.state().ready(QUEUE), 5);
    client.close().await;
}

#[tokio::test]
async fn a_seed_strikes_and_a_publisher_that_repeats_loses_nothing() {
    let (broker, client) = start().await;
    let faults = [Fault::CutConnection, Fault::CutConnectionAfter, Fault::Nack, Fault::Redeliver];
    broker.faults().at_random(42, 50_000, faults);
    for n in 0..200_u32 {
        let body = n.to_string();
        eventually(60 * SECONDS, "the publish is confirmed", async || outcome(&client, &body).await).await;
    }
    broker.faults().clear();
    let struck = broker.faults().log();
    assert!(struck.len() > 3, "a twentieth of the methods is struck: {struck:?}");
    let bodies: std::collections::BTreeSet<_> = broker
        .published()
        .into_iter()
        .filter(|one| one.fate(QUEUE) == Some(&Fate::Ready))
        .map(|one| one.body)
        .collect();
    assert_eq!(bodies.len(), 200, "every message is in the queue at least once");
    client.close().await;
}

#[tokio::test]
async fn a_log_of_faults_is_replayed_on_another_broker() {
    let verdicts = async |broker: &Broker| {
        let mut wire = Wire::connect(broker.url()).await;
        wire.open_channel(1).await;
        wire.declare_queue(1, garenne_tests::wire::Queue::quorum(QUEUE)).await;
        wire.confirm_select(1).await;
        for _ in 0..200 {
            wire.publish(1, "", QUEUE, "body").await;
        }
        wire.expect_confirms(1, 200).await
    };
    let [first, second] =
        [Broker::start().await, Broker::start().await].map(|broker| broker.expect("the broker starts"));
    first.faults().at_random(7, 50_000, [Fault::Nack]);
    let struck = verdicts(&first).await;
    assert!(struck.contains(&Confirm::Nack) && struck.contains(&Confirm::Ack), "{struck:?}");
    second.faults().replay(&first.faults().log());
    assert_eq!(verdicts(&second).await, struck);
    assert_eq!(second.faults().log(), first.faults().log());
}

#[tokio::test]
async fn the_books_tell_how_each_delivery_came_back() {
    let broker = Broker::start().await.expect("the broker starts");
    let mut wire = Wire::connect(broker.url()).await;
    wire.open_channel(1).await;
    wire.declare_queue(1, garenne_tests::wire::Queue::quorum(QUEUE)).await;
    wire.publish(1, "", QUEUE, "body").await;
    for is_nack in [true, false] {
        let got = wire.get(1, QUEUE).await.expect("it is there");
        if is_nack {
            wire.nack(1, got.tag, true).await;
        } else {
            wire.reject(1, got.tag, true).await;
        }
    }
    wire.get(1, QUEUE).await.expect("it is there");
    wire.close_channel(1).await;
    broker.wait_until(|state| state.ready(QUEUE) == 1).await;
    let [published] = &broker.published()[..] else { panic!("one message was published") };
    let ways: Vec<_> = published.requeues.iter().map(|requeued| requeued.how).collect();
    assert_eq!(ways, ["nack", "reject", "lost"]);
    let shown = published.to_string();
    assert!(
        shown.ends_with(
            "ready in `work`, back in `work` (nack), back in `work` (reject), back in `work` (lost)"
        ),
        "{shown}"
    );
}
