//! What the suites about consuming share.

use std::collections::BTreeSet;
use std::time::Duration;

use garenne_shared::QueueName;
use garenne_tests::{SECONDS, Vhost, eventually};
use garenne_transport::{Client, Delivery, Settlement, Subscriber, Subscription};
use serde_json::json;
use tokio::time::timeout;

/// The queue of a test; each test has a vhost of its own.
pub(crate) const QUEUE: &str = "work";

/// The deadline for whatever a healthy broker does at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Declares the quorum queue of a test.
pub(crate) async fn declare(vhost: &Vhost) {
    vhost.declare_queue(QUEUE, json!({ "x-queue-type": "quorum" })).await;
}

/// Publishes the numbers of `range` in order, past the framework.
pub(crate) async fn fill(vhost: &Vhost, range: std::ops::Range<u32>) {
    for number in range {
        let properties = json!({ "delivery_mode": 2 });
        assert!(
            vhost.publish_raw("", QUEUE, properties, number.to_string().as_bytes()).await,
            "it is routed"
        );
    }
}

/// The defaults for the test's queue.
pub(crate) fn subscription() -> Subscription {
    Subscription::new(QueueName::from_static(QUEUE))
}

/// Subscribes to the test's queue.
pub(crate) async fn subscribe(client: &Client, prefetch: u16) -> Subscriber {
    client.subscribe(subscription().prefetch(prefetch)).await.expect("the queue can be read")
}

/// Waits for the next delivery.
pub(crate) async fn next(subscriber: &mut Subscriber) -> Delivery {
    let next = timeout(SOON, subscriber.next()).await;
    next.expect("a delivery comes in time").expect("the subscription goes on")
}

/// Returns the number that a delivery carries.
pub(crate) fn number(delivery: &Delivery) -> u32 {
    std::str::from_utf8(&delivery.message.body).ok().and_then(|text| text.parse().ok()).expect("a number")
}

/// Acks deliveries until every number below `n` has come, and returns how many came twice.
pub(crate) async fn ack_until_complete(subscriber: &mut Subscriber, n: u32) -> u32 {
    let mut seen = BTreeSet::new();
    let mut twice = 0;
    while seen.len() < n as usize {
        let delivery = next(subscriber).await;
        twice += u32::from(!seen.insert(number(&delivery)));
        delivery.unsettled.settle(Settlement::Ack);
    }
    twice
}

/// Waits until the management API shows this many messages and consumers.
pub(crate) async fn expect(vhost: &Vhost, messages: u64, consumers: u64) {
    eventually(SOON, &format!("the queue has {messages} messages and {consumers} consumers"), async || {
        let found = vhost.counts(QUEUE).await;
        let is_expected = (found.messages, found.consumers) == (Some(messages), Some(consumers));
        if is_expected { Ok(()) } else { Err(found) }
    })
    .await;
}

/// Waits until every subscription of the client is confirmed.
pub(crate) async fn subscribed(client: &Client) {
    eventually(60 * SECONDS, "every subscription is confirmed", async || {
        let health = client.health();
        if health.subscribed == health.subscriptions { Ok(()) } else { Err(health) }
    })
    .await;
}
