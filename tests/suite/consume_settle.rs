//! Each delivery is settled once, with its own outcome, before the channel closes.

use std::collections::BTreeSet;
use std::time::Duration;

use garenne_tests::{Counts, eventually};
use garenne_transport::{ErrorKind, Settlement};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::time::timeout;

use crate::consuming::{
    QUEUE, SOON, ack_until_complete, declare, expect, fill, next, number, subscribe, subscription,
};

#[tokio::test]
async fn what_overtook_a_slow_neighbour_is_acked_and_not_redelivered() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..300).await;
    let mut subscriber = subscribe(&client, 100).await;
    let slow = next(&mut subscriber).await;
    for expected in 1..300 {
        let delivery = next(&mut subscriber).await;
        assert_eq!(number(&delivery), expected);
        delivery.unsettled.settle(Settlement::Ack);
    }
    expect(&vhost, 1, 1).await;
    slow.unsettled.settle(Settlement::Ack);
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn every_outcome_reaches_the_broker() {
    let vhost = crate::vhost().await;
    let arguments = serde_json::json!({
        "x-queue-type": "quorum", "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead",
    });
    vhost.declare_queue(QUEUE, arguments).await;
    vhost.declare_queue("dead", serde_json::json!({ "x-queue-type": "quorum" })).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..4).await;
    let mut subscriber = subscribe(&client, 4).await;
    let outcomes = [Settlement::Ack, Settlement::Reject, Settlement::Requeue, Settlement::Release];
    for outcome in outcomes {
        next(&mut subscriber).await.unsettled.settle(outcome);
    }
    let mut again = [next(&mut subscriber).await, next(&mut subscriber).await];
    again.sort_by_key(number);
    assert_eq!(again.each_ref().map(number), [2, 3]);
    assert!(again.iter().all(|delivery| delivery.message.redelivered));
    let failed = again.each_ref().map(|delivery| delivery.message.metadata.headers.int("x-delivery-count"));
    assert_eq!(failed[0], Some(1), "requeue counts as a failed delivery");
    again.into_iter().for_each(|delivery| delivery.unsettled.settle(Settlement::Ack));
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
    eventually(SOON, "the rejected one is dead-lettered", async || match vhost.depth("dead").await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test]
async fn draining_redelivers_nothing_that_was_finished() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..500).await;
    let mut subscriber = subscribe(&client, 50).await;
    for _ in 0..120 {
        next(&mut subscriber).await.unsettled.settle(Settlement::Ack);
    }
    // Still being handled when the drain begins.
    let running: Vec<_> = [next(&mut subscriber).await, next(&mut subscriber).await].into();
    let handler = tokio::task::spawn_blocking(move || {
        for delivery in running {
            std::thread::park_timeout(Duration::from_millis(100));
            delivery.unsettled.settle(Settlement::Ack);
        }
    });
    subscriber.close(SOON).await.expect("everything is settled");
    handler.await.expect("the handlers end");
    expect(&vhost, 500 - 122, 0).await;
    let mut rest = subscribe(&client, 50).await;
    let mut unfinished = BTreeSet::new();
    while unfinished.len() < 500 - 122 {
        let delivery = next(&mut rest).await;
        unfinished.insert(number(&delivery));
        delivery.unsettled.settle(Settlement::Ack);
    }
    assert!(unfinished.iter().copied().eq(122..500), "redelivered: {:?}", unfinished.first());
    rest.close(SOON).await.expect("everything is settled");
}

#[tokio::test]
async fn a_cancelled_subscription_returns_the_rest_and_then_none() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..100).await;
    let mut subscriber = subscribe(&client, 20).await;
    next(&mut subscriber).await.unsettled.settle(Settlement::Ack);
    subscriber.cancel().await;
    assert_eq!(client.health().subscriptions, 0, "nothing is missing: nothing is wanted");
    let mut rest = 0;
    while let Some(delivery) = timeout(SOON, subscriber.next()).await.expect("it ends in time") {
        delivery.unsettled.settle(Settlement::Ack);
        rest += 1;
    }
    assert!((19..=20).contains(&rest), "{rest} of a prefetch of 20");
    assert!(subscriber.next().await.is_none(), "it stays at its end");
    subscriber.close(SOON).await.expect("everything is settled");
    expect(&vhost, 100 - 1 - rest, 0).await;
}

#[tokio::test]
async fn closing_names_how_many_were_left() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..10).await;
    let mut subscriber = subscribe(&client, 10).await;
    let held = [next(&mut subscriber).await, next(&mut subscriber).await, next(&mut subscriber).await];
    let error = subscriber.close(Duration::from_millis(200)).await.expect_err("three are left");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("3 deliveries of queue `work`"), "{error}");
    expect(&vhost, 10, 0).await;
    // Too late: the broker has them again, and nothing is sent.
    held.into_iter().for_each(|delivery| delivery.unsettled.settle(Settlement::Ack));
    let mut again = subscribe(&client, 10).await;
    ack_until_complete(&mut again, 10).await;
    again.close(SOON).await.expect("everything is settled");
}

#[tokio::test]
async fn a_crash_between_handling_and_ack_redelivers() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..3).await;
    let proxy = vhost.proxy().await;
    let crashing =
        garenne_transport::Client::connect(vhost.config_through(&proxy)).await.expect("the broker is there");
    let mut subscriber = subscribe(&crashing, 10).await;
    let handled = next(&mut subscriber).await;
    // The process is gone before the ack: nothing more comes from it, not even a reset.
    proxy.set_mode(garenne_tests::Mode::Refuse);
    proxy.cut();
    let mut other = subscribe(&client, 10).await;
    assert_eq!(ack_until_complete(&mut other, 3).await, 0);
    handled.unsettled.settle(Settlement::Ack);
    other.close(SOON).await.expect("everything is settled");
    expect(&vhost, 0, 0).await;
}

#[tokio::test]
async fn dropping_gives_back() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..30).await;
    let mut subscriber = subscribe(&client, 10).await;
    let dropped = next(&mut subscriber).await;
    assert_eq!(number(&dropped), 0);
    drop(dropped);
    let mut again = next(&mut subscriber).await;
    while number(&again) != 0 {
        again.unsettled.settle(Settlement::Release);
        again = next(&mut subscriber).await;
    }
    assert!(again.message.redelivered);
    drop(subscriber);
    eventually(SOON, "the broker has everything back", async || match vhost.counts(QUEUE).await {
        Counts { ready: Some(30), consumers: Some(0), .. } => Ok(()),
        counts => Err(counts),
    })
    .await;
    drop(again);
}

#[tokio::test]
async fn the_prefetch_is_the_most_that_is_ever_outstanding() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..50).await;
    let mut subscriber = client.subscribe(subscription().prefetch(7)).await.expect("the queue can be read");
    let mut held = Vec::new();
    for _ in 0..7 {
        held.push(next(&mut subscriber).await);
    }
    let eighth = timeout(Duration::from_millis(500), subscriber.next()).await;
    assert!(eighth.is_err(), "an eighth delivery at a prefetch of 7");
    eventually(SOON, "seven are unacknowledged", async || match vhost.counts(QUEUE).await.unacked {
        Some(7) => Ok(()),
        other => Err(other),
    })
    .await;
    drop(held);
    subscriber.close(SOON).await.expect("everything is settled");
}

#[tokio::test]
async fn closing_the_client_first_sends_what_is_settled() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..100).await;
    let mut subscriber = subscribe(&client, 100).await;
    for _ in 0..40 {
        // Fewer than one flush, and sooner than the timer.
        next(&mut subscriber).await.unsettled.settle(Settlement::Ack);
    }
    client.close().await;
    // What was delivered may still be there to be read; it cannot be settled any more.
    expect(&vhost, 60, 0).await;
}

#[tokio::test]
async fn a_settlement_after_the_channel_is_gone_is_counted_and_not_sent() {
    let vhost = crate::vhost().await;
    declare(&vhost).await;
    let client = vhost.connect().await;
    fill(&vhost, 0..3).await;
    let mut subscriber = subscribe(&client, 10).await;
    let held = [next(&mut subscriber).await, next(&mut subscriber).await, next(&mut subscriber).await];
    drop(subscriber);
    eventually(SOON, "the broker has everything back", async || match vhost.counts(QUEUE).await.ready {
        Some(3) => Ok(()),
        other => Err(other),
    })
    .await;
    let recorder = DebuggingRecorder::new();
    let counted = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let [one, two, three] = held;
        one.unsettled.settle(Settlement::Ack);
        two.unsettled.settle(Settlement::Reject);
        // Given back is where it is already.
        drop(three);
    });
    let lost: Vec<_> =
        counted.snapshot().into_vec().into_iter().map(|(key, _, _, value)| (key, value)).collect();
    let [(key, DebugValue::Counter(2))] = lost.as_slice() else { panic!("{lost:?}") };
    assert_eq!(key.key().name(), "garenne_settlements_lost_total");
    expect(&vhost, 3, 0).await;
}
