//! Dead letters of a topology, from queue to queue on the broker.

use std::time::Duration;

use garenne_shared::QueueName;
use garenne_tests::{Counts, SECONDS, Vhost, eventually};
use garenne_topology::{Exchange, Queue, QueueDefinition, Topology};
use garenne_transport::{Client, Settlement, Subscription};
use serde_json::{Value, json};
use tokio::time::timeout;

/// The deadline for whatever a healthy broker does at once.
const SOON: Duration = Duration::from_secs(30);

/// Applies a queue that is bound to the topic exchange `orders`, and publishes one order.
async fn order_in(queue: impl Into<QueueDefinition>) -> (Vhost, Client) {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = Topology::new().exchange(Exchange::topic("orders").bound_elsewhere()).queue(queue);
    client.apply(&topology).await.expect("it is applied");
    assert!(vhost.publish_raw("orders", "order.placed", json!({ "delivery_mode": 2 }), b"order").await);
    (vhost, client)
}

/// Settles `times` deliveries of the queue.
async fn settle(client: &Client, queue: &'static str, settlement: Settlement, times: usize) {
    let subscription = Subscription::new(QueueName::from_static(queue));
    let mut subscriber = client.subscribe(subscription).await.expect("the queue can be read");
    for _ in 0..times {
        let delivery =
            timeout(SOON, subscriber.next()).await.expect("in time").expect("the subscription goes on");
        delivery.unsettled.settle(settlement);
    }
}

/// Takes the one message that comes to a queue.
async fn arrival(vhost: &Vhost, queue: &str) -> Value {
    let messages = eventually(SOON, &format!("a message comes to {queue}"), async || {
        let messages = vhost.take_raw(queue, 10).await;
        if messages.is_empty() { Err("nothing") } else { Ok(messages) }
    })
    .await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages[0].clone()
}

/// The order came to the dead-letter queue for this reason.
async fn check_dead(vhost: &Vhost, queue: &str, reason: &str) {
    let message = arrival(vhost, &format!("{queue}.dlq")).await;
    assert_eq!(message["payload"], "order");
    let death = &message["properties"]["headers"]["x-death"][0];
    let found =
        (&death["queue"], &death["reason"], &death["exchange"], &death["routing-keys"], &death["count"]);
    assert_eq!(found, (&json!(queue), &json!(reason), &json!("orders"), &json!(["order.placed"]), &json!(1)));
}

#[tokio::test]
async fn a_rejected_message_goes_to_the_dead_letter_queue() {
    let (vhost, client) = order_in(Queue::quorum("billing").bind("orders", "#").dead_letter()).await;
    settle(&client, "billing", Settlement::Reject, 1).await;
    check_dead(&vhost, "billing", "rejected").await;
    client.close().await;
}

#[tokio::test]
async fn a_message_that_failed_too_often_goes_to_the_dead_letter_queue() {
    let queue = Queue::quorum("billing").bind("orders", "#").delivery_limit(2).dead_letter();
    let (vhost, client) = order_in(queue).await;
    settle(&client, "billing", Settlement::Requeue, 3).await;
    check_dead(&vhost, "billing", "delivery_limit").await;
    client.close().await;
}

#[tokio::test]
async fn an_expired_message_goes_to_the_dead_letter_queue() {
    let queue = Queue::quorum("billing").bind("orders", "#").message_ttl(SECONDS / 10).dead_letter();
    let (vhost, client) = order_in(queue).await;
    check_dead(&vhost, "billing", "expired").await;
    client.close().await;
}

#[tokio::test]
async fn a_classic_queue_dead_letters_as_well() {
    let (vhost, client) = order_in(Queue::classic("billing").bind("orders", "#").dead_letter()).await;
    settle(&client, "billing", Settlement::Reject, 1).await;
    check_dead(&vhost, "billing", "rejected").await;
    client.close().await;
}

#[tokio::test]
async fn dead_letters_go_through_an_exchange_of_ones_own() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = Topology::new()
        .exchange(Exchange::direct("dead"))
        .queue(Queue::quorum("a").dead_letter_to("dead", "of-a"))
        .queue(Queue::quorum("b").dead_letter_through("dead"))
        .queue(Queue::quorum("graves").bind("dead", "of-a").bind("dead", "b").without_dead_letter());
    client.apply(&topology).await.expect("it is applied");
    for (queue, key) in [("a", "of-a"), ("b", "b")] {
        assert!(vhost.publish_raw("", queue, json!({}), b"order").await);
        settle(&client, queue, Settlement::Reject, 1).await;
        assert_eq!(arrival(&vhost, "graves").await["routing_key"], key);
    }
    client.close().await;
}

#[tokio::test]
async fn dead_letters_wait_in_their_queue_until_their_target_takes_them() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = Topology::new().queue(Queue::quorum("billing").dead_letter());
    client.apply(&topology).await.expect("it is applied");
    vhost.delete_queue("billing.dlq").await;
    assert!(vhost.publish_raw("", "billing", json!({ "delivery_mode": 2 }), b"order").await);
    settle(&client, "billing", Settlement::Reject, 1).await;
    // At most once, it would be gone now.
    eventually(SOON, "the message is kept as a dead letter", async || match vhost.counts("billing").await {
        Counts { held: Some(1), .. } => Ok(()),
        counts => Err(counts),
    })
    .await;
    client.close().await;
}
