//! What `publish_all` promises: outcomes in the order of the input, a bounded window, connection losses ridden out.

use std::{cell::Cell, collections::BTreeSet, pin::pin};

use futures_util::{StreamExt, stream};
use garenne_producer::Publisher;
use garenne_shared::config::PublishConfig;
use garenne_tests::SECONDS;
use garenne_transport::Client;
use serde_json::json;
use tokio::time::timeout;

use crate::orders::{Placed, ids_in_billing, vhost_with_orders};

#[tokio::test]
async fn every_message_of_a_stream_has_its_outcome_in_order() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    let order = |id| if id % 10 == 3 { Placed::nowhere(id) } else { Placed::in_eu(id) };
    let outcomes: Vec<_> = publisher.publish_all(stream::iter((0..3000).map(order))).collect().await;
    assert_eq!(outcomes.len(), 3000);
    for (id, outcome) in outcomes.iter().enumerate() {
        assert_eq!(outcome.is_err(), id % 10 == 3, "{id}: {outcome:?}");
    }
    assert_eq!(ids_in_billing(&vhost).await.len(), 2700);
    client.close().await;
}

#[tokio::test]
async fn a_stream_is_read_no_further_than_the_window() {
    let vhost = vhost_with_orders(json!({})).await;
    let mut publish = PublishConfig::default();
    publish.window = 5;
    let client = Client::connect(vhost.config().publish(publish)).await.unwrap();
    let publisher = Publisher::new(&client);
    let read = Cell::new(0);
    let orders = stream::iter(0..).map(|id| {
        read.set(id + 1);
        Placed::in_eu(id)
    });
    let mut outcomes = pin!(publisher.publish_all(orders));
    for yielded in 1..=50 {
        outcomes.next().await.unwrap().unwrap();
        assert!(read.get() <= yielded + 5, "{} read for {yielded} outcomes", read.get());
    }
    client.close().await;
}

#[tokio::test]
async fn outcomes_come_while_the_input_waits() {
    let vhost = vhost_with_orders(json!({})).await;
    let client = vhost.connect().await;
    let publisher = Publisher::new(&client);
    let orders = stream::iter([Placed::in_eu(1), Placed::in_eu(2)]).chain(stream::pending());
    let publishes = orders.map(|order| (order.id, publisher.publish(&order)));
    let mut outcomes = pin!(publisher.publish_each(publishes));
    for expected in 1..=2 {
        let (tag, outcome) = timeout(20 * SECONDS, outcomes.next()).await.expect("an outcome").unwrap();
        assert_eq!(tag, expected);
        outcome.unwrap();
    }
    timeout(SECONDS / 10, outcomes.next()).await.expect_err("the input has not ended");
    client.close().await;
}

#[tokio::test]
async fn a_stream_rides_out_lost_connections_with_the_same_ids() {
    let vhost = vhost_with_orders(json!({ "x-queue-type": "quorum" })).await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(vhost.config_through(&proxy)).await.unwrap();
    let publisher = Publisher::new(&client);
    let mut outcomes = pin!(publisher.publish_all(stream::iter((0..6000).map(Placed::in_eu))));
    let (mut confirmed, mut retried) = (BTreeSet::new(), 0);
    while let Some(outcome) = timeout(60 * SECONDS, outcomes.next()).await.expect("an outcome") {
        let receipt = outcome.unwrap();
        retried += u32::from(receipt.attempts > 1);
        confirmed.insert(receipt.message_id);
        if confirmed.len() % 2000 == 1000 {
            proxy.cut();
        }
    }
    assert_eq!(confirmed.len(), 6000);
    assert!(retried > 0, "the cuts hit nothing in flight");
    assert_eq!(ids_in_billing(&vhost).await, confirmed, "every confirmed message is there, and no other");
    client.close().await;
}
