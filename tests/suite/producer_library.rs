//! What `publish` promises: `Ok` is confirmed and routed, everything else has a name, retries keep the id.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use garenne_producer::{PublishErrorKind, Publisher};
use garenne_shared::{Outgoing, Retry};
use garenne_tests::SECONDS;
use serde_json::json;
use tokio::time::timeout;

use crate::orders::{Placed, billing_holds, ids_in_billing, vhost_with_orders};

#[tokio::test]
async fn a_publish_is_confirmed_and_carries_its_metadata() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = garenne_transport::Client::connect(vhost.config().service("shop")).await.unwrap();
    let publisher = Publisher::new(&client);
    let publish = publisher.publish(&Placed::in_eu(7)).correlation_id("c-1");
    let publish = publish.causation_id("m-0").header("tenant", "t1").headers([("n", 5)]);
    let receipt = publish.expires_in(60 * SECONDS).priority(3).reply_to("answers").await.unwrap();
    assert!(receipt.routed);
    assert_eq!(receipt.attempts, 1);

    let taken = vhost.take_raw("billing", 10).await;
    assert_eq!(taken.len(), 1);
    assert_eq!((&taken[0]["exchange"], &taken[0]["routing_key"]), (&json!("orders"), &json!("placed.eu")));
    assert_eq!(taken[0]["payload"], r#"{"id":7,"region":"eu"}"#);
    let mut properties = taken[0]["properties"].clone();
    let timestamp = properties["timestamp"].take().as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(timestamp) < 60, "timestamp {timestamp}, now {now}");
    let expected = json!({
        "message_id": receipt.message_id, "type": "order.placed.v1", "content_type": "application/json", "app_id": "shop",
        "correlation_id": "c-1", "reply_to": "answers", "expiration": "60000", "priority": 3, "delivery_mode": 2,
        "timestamp": null, "headers": { "garenne-causation-id": "m-0", "tenant": "t1", "n": 5 },
    });
    assert_eq!(properties, expected);
    client.close().await;
}

#[tokio::test]
async fn a_raw_message_is_published_as_it_is() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    let message = Outgoing::new("orders", "placed.eu", "not json");
    let receipt = publisher.publish_raw(message).message_id("own-id").transient().await.unwrap();
    assert_eq!(receipt.message_id, "own-id");
    let taken = vhost.take_raw("billing", 10).await;
    assert_eq!(taken[0]["payload"], "not json");
    assert_eq!(taken[0]["properties"]["message_id"], "own-id");
    assert_eq!(taken[0]["properties"]["delivery_mode"], 1);
    client.close().await;
}

#[tokio::test]
async fn an_unroutable_publish_is_an_error_unless_it_is_allowed() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    let error = publisher.publish(&Placed::nowhere(1)).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Unroutable);
    assert!(error.is_unroutable() && !error.is_transient());
    assert_eq!((error.exchange().as_str(), error.routing_key().as_str()), ("orders", "placed.nowhere"));

    let receipt = publisher.publish(&Placed::nowhere(2)).allow_unroutable().await.unwrap();
    assert!(!receipt.routed);
    let receipt = publisher.publish(&Placed::in_eu(3)).allow_unroutable().await.unwrap();
    assert!(receipt.routed);
    client.close().await;
}

#[tokio::test]
async fn a_missing_exchange_is_an_error_even_if_unroutable_is_allowed() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    for allowed in [false, true] {
        let publish = publisher.publish(&Placed::in_eu(1)).exchange("missing");
        let publish = if allowed { publish.allow_unroutable() } else { publish };
        let error = publish.await.unwrap_err();
        assert_eq!(error.kind(), PublishErrorKind::NoExchange, "{error}");
        assert_eq!(error.exchange().as_str(), "missing");
    }
    publisher.publish(&Placed::in_eu(2)).await.expect("the publisher goes on");
    client.close().await;
}

#[tokio::test]
async fn a_message_that_makes_no_key_is_an_encode_error() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let message = Placed { id: 1, region: "x".repeat(300) };
    let error = Publisher::new(&client).publish(&message).header("ignored", true).await.unwrap_err();
    assert_eq!(error.kind(), PublishErrorKind::Encode);
    assert!(std::error::Error::source(&error).is_some());
    client.close().await;
}

/// A queue that is full with one message and refuses the next.
fn one_message_only() -> serde_json::Value {
    json!({ "x-queue-type": "classic", "x-max-length": 1, "x-overflow": "reject-publish" })
}

#[tokio::test]
async fn a_nacked_publish_is_retried_with_its_id_until_there_is_room() {
    let vhost = vhost_with_orders(one_message_only()).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client).retry(Retry::fixed(SECONDS / 20), 60 * SECONDS);
    let first = publisher.publish(&Placed::in_eu(1)).await.unwrap();
    let mut second = publisher.publish(&Placed::in_eu(2)).message_id("kept").into_future();
    timeout(SECONDS / 2, &mut second).await.expect_err("the queue is full");
    billing_holds(&vhost, 1).await;
    // One only: an attempt that is under way may already be in the place that this makes.
    let taken = vhost.take_raw("billing", 1).await;
    assert_eq!(taken[0]["properties"]["message_id"], first.message_id);
    let receipt = second.await.unwrap();
    assert!(receipt.attempts > 1);
    assert!(receipt.latency >= SECONDS / 2, "{:?}", receipt.latency);
    assert_eq!(receipt.message_id, "kept");
    assert_eq!(ids_in_billing(&vhost).await.into_iter().collect::<Vec<_>>(), ["kept"]);
    client.close().await;
}

#[tokio::test]
async fn a_publish_that_stays_nacked_is_given_up_by_policy_or_deadline() {
    let vhost = vhost_with_orders(one_message_only()).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    publisher.publish(&Placed::in_eu(1)).await.unwrap();
    let ten_ms = Duration::from_millis(10);
    for (policy, deadline, attempts) in [
        (Retry::never(), 60 * SECONDS, Some(1)),
        (Retry::fixed(ten_ms).attempts(3), 60 * SECONDS, Some(3)),
        (Retry::fixed(ten_ms), SECONDS / 2, None),
    ] {
        let publisher = publisher.clone().retry(policy, deadline);
        let awaited = publisher.publish(&Placed::in_eu(2)).await.unwrap_err();
        let enqueued = publisher.publish(&Placed::in_eu(3)).enqueue().await.unwrap().await.unwrap_err();
        for error in [awaited, enqueued] {
            assert_eq!(error.kind(), PublishErrorKind::Nacked);
            if let Some(attempts) = attempts {
                assert_eq!(error.attempts(), attempts, "{error}");
            } else {
                assert!(error.attempts() > 3, "{error}");
            }
        }
    }
    client.close().await;
}

#[tokio::test]
async fn enqueued_publishes_are_confirmed_side_by_side() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    let mut enqueued = Vec::new();
    for id in 0..500 {
        let order = if id % 100 == 7 { Placed::nowhere(id) } else { Placed::in_eu(id) };
        enqueued.push((id, publisher.publish(&order).enqueue().await.unwrap()));
    }
    // In reverse, because nothing may depend on the order of awaiting.
    for (id, enqueued) in enqueued.into_iter().rev() {
        match enqueued.await {
            Ok(receipt) => assert!(receipt.routed && id % 100 != 7),
            Err(error) => assert!(error.is_unroutable() && id % 100 == 7, "{id}: {error}"),
        }
    }
    assert_eq!(ids_in_billing(&vhost).await.len(), 495);
    client.close().await;
}
