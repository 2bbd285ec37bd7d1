//! A subscription comes back by itself, and says so.

use std::collections::BTreeSet;
use std::time::Duration;

use garenne_shared::{Config, Retry};
use garenne_tests::{Direction, eventually};
use garenne_transport::{Client, ErrorKind, Event, Events, Settlement, Subscription};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::consuming::{
    QUEUE, SOON, ack_until_complete, declare, expect, fill, next, number, subscribe, subscribed, subscription,
};

/// Reconnects quickly, to have many losses in a short test.
fn impatient(mut config: Config) -> Config {
    config.connection.reconnect = Retry::exponential(Duration::from_millis(20)..=Duration::from_millis(500));
    config
}

/// Returns the attempts of the next `Resubscribed`, after a `SubscriptionLost`.
async fn resubscribed(events: &mut Events) -> u32 {
    let mut lost = false;
    loop {
        match timeout(SOON, events.next()).await.expect("an event comes in time") {
            Some(Event::SubscriptionLost { queue, reason }) => {
                assert!([QUEUE, "mine"].contains(&queue.as_str()), "{queue}");
                assert!(!reason.is_empty());
                lost = true;
            }
            Some(Event::Resubscribed { attempts, .. }) => {
                assert!(lost, "the loss is told before the return");
                return attempts;
            }
            Some(_) => {}
            None => panic!("the events ended"),
        }
    }
}

#[tokio::test]
async fn a_queue_deleted_and_declared_again_is_read_again() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = Client::connect(impatient(vhost.config())).await.expect("the broker is there");
    let mut events = client.events();
    let mut subscriber = subscribe(&client, 10).await;

    vhost.delete_queue(QUEUE).await;
    eventually(SOON, "the health tells that the subscription is down", async || match client.health() {
        health if health.subscriptions == 1 && health.subscribed == 0 && !health.is_ready() => Ok(()),
        health => Err(health),
    })
    .await;
    declare(&vhost).await;
    assert!(resubscribed(&mut events).await >= 1);
    fill(&vhost, 0..20).await;
    ack_until_complete(&mut subscriber, 20).await;
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn a_channel_that_the_broker_closes_is_replaced_on_the_same_connection() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = Client::connect(impatient(vhost.config())).await.expect("the broker is there");
    fill(&vhost, 0..10).await;
    let mut events = client.events();
    let mut subscriber = subscribe(&client, 10).await;
    let epoch = client.health().consume.epoch;
    let held = next(&mut subscriber).await;

    vhost.close_channels().await;
    resubscribed(&mut events).await;
    // The channel of this delivery is gone: the ack is not sent, and the broker delivers it again.
    let first = number(&held);
    held.unsettled.settle(Settlement::Ack);
    let again = next(&mut subscriber).await;
    assert_eq!((number(&again), again.message.redelivered), (first, true));
    again.unsettled.settle(Settlement::Requeue);
    ack_until_complete(&mut subscriber, 10).await;
    assert_eq!(client.health().consume.epoch, epoch, "the connection stayed");
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn a_cut_under_load_loses_nothing_and_sends_no_stale_ack() {
    const N: u32 = 1000;
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(impatient(vhost.config_through(&proxy))).await.expect("the broker is there");
    let mut events = client.events();
    let mut subscriber = subscribe(&client, 100).await;
    fill(&vhost, 0..N / 2).await;

    // These are handled while the connection is cut, and settled when another one is up.
    let mut slow = Vec::new();
    for _ in 0..50 {
        slow.push(next(&mut subscriber).await);
    }
    proxy.cut();
    resubscribed(&mut events).await;
    slow.into_iter().for_each(|delivery| delivery.unsettled.settle(Settlement::Ack));
    fill(&vhost, N / 2..N).await;
    ack_until_complete(&mut subscriber, N).await;
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
    // One cut, one new connection: a stale ack would have closed the channel (406) and shown here.
    assert_eq!(client.health().consume.epoch, 2);
    while let Ok(Some(event)) = timeout(Duration::from_millis(10), events.next()).await {
        assert!(!matches!(event, Event::SubscriptionLost { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn twenty_cuts_in_a_row_leave_exactly_one_consumer() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(impatient(vhost.config_through(&proxy))).await.expect("the broker is there");
    let mut events = client.events();
    let mut subscriber = subscribe(&client, 10).await;
    for cut in 0..20 {
        proxy.cut();
        resubscribed(&mut events).await;
        fill(&vhost, cut..cut + 1).await;
    }
    ack_until_complete(&mut subscriber, 20).await;
    subscribed(&client).await;
    expect(&vhost, 0, 1).await;
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn the_first_subscription_fails_at_once_when_waiting_would_not_help() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let refused = async |subscription: Subscription| {
        let attempt = timeout(SOON, client.subscribe(subscription)).await;
        attempt.expect("it fails at once").expect_err("it fails")
    };
    let missing = refused(Subscription::new("missing")).await;
    assert_eq!(missing.kind(), ErrorKind::NotFound, "{missing}");
    assert!(missing.to_string().contains("missing"), "{missing}");

    let unlimited = refused(Subscription::new("missing").prefetch(0)).await;
    assert_eq!(unlimited.kind(), ErrorKind::Config, "{unlimited}");

    vhost.declare_queue(QUEUE, json!({ "x-queue-type": "classic" })).await;
    let only = client.subscribe(subscription().exclusive()).await.expect("nobody reads it");
    let second = refused(subscription()).await;
    assert_eq!(second.kind(), ErrorKind::AccessRefused, "{second}");
    assert_eq!(client.health().subscriptions, 1, "a failed one is not counted");
    only.close(SOON).await.expect("nothing was delivered");
}

#[tokio::test]
async fn handlers_that_finish_in_any_order_while_the_connection_is_cut_lose_nothing() {
    const N: u32 = 800;
    const CUTS: usize = 8;
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(impatient(vhost.config_through(&proxy))).await.expect("the broker is there");
    let mut events = client.events();
    let mut subscriber = subscribe(&client, 40).await;

    let mut handled = BTreeSet::new();
    let mut handlers = JoinSet::new();
    let chaos = async {
        for _ in 0..CUTS {
            // Some deliveries further, in the middle of a frame.
            proxy.cut_after(Direction::ToClient, 5001);
            resubscribed(&mut events).await;
        }
    };
    let work = async {
        while handled.len() < N as usize {
            if handlers.len() >= 16 {
                handlers.join_next().await.expect("some are running").expect("no handler fails");
            }
            let delivery = next(&mut subscriber).await;
            let number = number(&delivery);
            handled.insert(number);
            handlers.spawn(async move {
                // One in sixteen is slow, so that others overtake it.
                let pause = if number.is_multiple_of(16) { 40 } else { u64::from(number % 3) };
                tokio::time::sleep(Duration::from_millis(pause)).await;
                delivery.unsettled.settle(Settlement::Ack);
            });
        }
    };
    tokio::join!(fill(&vhost, 0..N), chaos, work);
    while handlers.join_next().await.is_some() {}
    subscribed(&client).await;
    // What was settled too late comes again; with the last of it the queue is empty.
    let rest = async {
        loop {
            next(&mut subscriber).await.unsettled.settle(Settlement::Ack);
        }
    };
    tokio::select! {
        () = expect(&vhost, 0, 1) => {}
        () = rest => {}
    }
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
    while let Ok(Some(event)) = timeout(Duration::from_millis(10), events.next()).await {
        assert!(!matches!(event, Event::SubscriptionLost { .. }), "more losses than cuts: {event:?}");
    }
}

/// What goes with its connection is declared again before anybody reads it.
#[tokio::test(flavor = "multi_thread")]
async fn an_owned_topology_is_declared_again_after_every_cut() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(impatient(vhost.config_through(&proxy))).await.expect("the broker is there");
    let topology = garenne_topology::Topology::new()
        .exchange(garenne_topology::Exchange::topic("news"))
        .queue(garenne_topology::Queue::classic("mine").exclusive().bind("news", "#"));
    client.own(&topology).await.expect("the topology is declared");
    let mut events = client.events();
    let mut subscriber = client
        .subscribe(garenne_transport::Subscription::new("mine").prefetch(10))
        .await
        .expect("the queue can be read");
    for number in 0..3_u32 {
        let properties = serde_json::json!({ "delivery_mode": 2 });
        assert!(vhost.publish_raw("news", "a", properties, number.to_string().as_bytes()).await, "{number}");
        let delivery = next(&mut subscriber).await;
        assert_eq!(self::number(&delivery), number);
        delivery.unsettled.settle(Settlement::Ack);
        proxy.cut();
        resubscribed(&mut events).await;
    }
    client.close().await;
}

/// Subscribing to a queue that is still being deleted costs the connection (541), and with it every subscription on it.
#[tokio::test(flavor = "multi_thread")]
async fn queues_that_are_deleted_again_and_again_leave_the_connection_alone() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    vhost.declare_queue("neighbour", serde_json::json!({ "x-queue-type": "quorum" })).await;
    let client = Client::connect(impatient(vhost.config())).await.expect("the broker is there");
    let mut events = client.events();
    let mut subscriber = subscribe(&client, 10).await;
    let neighbour = garenne_transport::Subscription::new("neighbour").prefetch(10);
    let mut neighbour = client.subscribe(neighbour).await.expect("the queue can be read");
    for round in 0..8_u32 {
        vhost.delete_queue(QUEUE).await;
        declare(&vhost).await;
        resubscribed(&mut events).await;
        let properties = serde_json::json!({ "delivery_mode": 2 });
        assert!(vhost.publish_raw("", "neighbour", properties, round.to_string().as_bytes()).await);
        let delivery = next(&mut neighbour).await;
        assert_eq!((number(&delivery), delivery.message.redelivered), (round, false));
        delivery.unsettled.settle(Settlement::Ack);
    }
    fill(&vhost, 0..10).await;
    ack_until_complete(&mut subscriber, 10).await;
    assert_eq!(client.health().consume.epoch, 1, "the connection stayed");
    client.close().await;
}
