//! The fixture keeps its own promises.

use garenne_tests::{Broker, OwnBroker, SECONDS, Vhost, eventually};
use serde_json::json;

#[tokio::test]
async fn a_vhost_is_there_until_it_is_dropped() {
    let vhost = Vhost::new().await;
    let name = vhost.name().to_owned();
    let find = async || {
        let name = name.clone();
        Broker::shared().await.read(async move |management| management.vhost(&name).await).await
    };
    assert!(find().await.is_some());
    drop(vhost);
    assert!(find().await.is_none());
}

#[tokio::test]
async fn raw_messages_go_in_and_out_unchanged() {
    let vhost = Vhost::new().await;
    vhost.declare_queue("q", json!({ "x-queue-type": "quorum" })).await;
    let properties = json!({ "content_type": "text/plain", "headers": { "n": 1 } });
    assert!(vhost.publish_raw("", "q", properties, b"hello").await);
    assert!(!vhost.publish_raw("", "nobody", json!({}), b"hello").await, "an unroutable message is reported");
    eventually(60 * SECONDS, "the queue shows its message", async || match vhost.depth("q").await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    let taken = vhost.take_raw("q", 10).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0]["payload"], "hello");
    assert_eq!(taken[0]["properties"]["headers"]["n"], 1);
}

#[tokio::test]
async fn an_own_broker_keeps_its_address_and_its_data_when_it_is_killed() {
    let broker = OwnBroker::start().await;
    let vhost = Vhost::on(&broker).await;
    vhost.declare_queue("q", json!({ "x-queue-type": "quorum" })).await;
    broker.kill().await;
    broker.start_again().await;
    assert!(vhost.queue("q").await.is_some());
    assert!(broker.rabbitmqctl(&["list_vhosts"]).await.contains(vhost.name()));
}
