//! Sharing a queue and reading a stream.

use std::collections::BTreeSet;

use garenne_tests::eventually;
use garenne_transport::{Client, Settlement};
use serde_json::json;

use crate::consuming::{
    QUEUE, SOON, ack_until_complete, declare, expect, fill, next, number, subscribe, subscription,
};

#[tokio::test]
async fn two_consumers_of_a_queue_each_get_some_and_together_everything_once() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    let mut one = subscribe(&client, 10).await;
    let mut two = subscribe(&client, 10).await;
    fill(&vhost, 0..200).await;
    let mut seen = BTreeSet::new();
    let mut counts = [0, 0];
    while seen.len() < 200 {
        let (who, delivery) = tokio::select! {
            delivery = next(&mut one) => (0, delivery),
            delivery = next(&mut two) => (1, delivery),
        };
        assert!(seen.insert(number(&delivery)), "delivered twice");
        counts[who] += 1;
        delivery.unsettled.settle(Settlement::Ack);
    }
    assert!(counts.iter().all(|&count| count >= 20), "{counts:?}");
    one.close(SOON).await.expect("everything is settled");
    two.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn a_stream_is_read_from_an_offset() {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({ "x-queue-type": "stream" })).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..100).await;
    let from_start = subscription().prefetch(20).argument("x-stream-offset", "first");
    let mut subscriber = client.subscribe(from_start).await.expect("the stream can be read");
    assert_eq!(ack_until_complete(&mut subscriber, 100).await, 0);
    subscriber.close(SOON).await.expect("everything is settled");

    let from_ninety = subscription().prefetch(20).argument("x-stream-offset", 90);
    let mut subscriber = client.subscribe(from_ninety).await.expect("the stream can be read");
    assert_eq!(number(&next(&mut subscriber).await), 90);
    subscriber.close(SOON).await.expect("everything is settled");
}

#[tokio::test]
async fn a_stream_is_read_on_after_a_cut_from_where_it_was_left() {
    let vhost = crate::vhost().await;
    vhost.declare_queue(QUEUE, json!({ "x-queue-type": "stream" })).await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(vhost.config_through(&proxy)).await.expect("the broker is there");
    fill(&vhost, 0..100).await;
    let from_start = subscription().prefetch(20).argument("x-stream-offset", "first");
    let mut subscriber = client.subscribe(from_start).await.expect("the stream can be read");
    for expected in 0..50 {
        let delivery = next(&mut subscriber).await;
        assert_eq!(number(&delivery), expected);
        delivery.unsettled.settle(Settlement::Ack);
    }
    let unfinished = next(&mut subscriber).await;
    assert_eq!(number(&unfinished), 50);
    proxy.cut();
    eventually(SOON, "the second connection is up", async || match client.health() {
        health if health.consume.epoch == 2 && health.is_ready() => Ok(()),
        health => Err(health),
    })
    .await;
    unfinished.unsettled.settle(Settlement::Ack);
    // From the one that was not settled in time, and not from the first again.
    for expected in 50..100 {
        let delivery = next(&mut subscriber).await;
        assert_eq!(number(&delivery), expected);
        delivery.unsettled.settle(Settlement::Ack);
    }
    subscriber.close(SOON).await.expect("everything is settled");
}
