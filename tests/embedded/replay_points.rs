//! A fault at every step of a replay: nothing is lost, and running it again brings the rest.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use garenne::{
    Outgoing, Publisher, Queue,
    deadletter::{DeadLetters, Filter, Replay},
};
use garenne_embedded::{Broker, Fault};
use garenne_topology::Topology;

use crate::crash_points::{client, faults};

const MESSAGES: usize = 20;

/// More commands than a replay sends.
const STEPS: u64 = 35;

/// Replays until nothing is left; returns how many messages came twice.
async fn story(step: u64, fault: &Fault) -> usize {
    let broker = Broker::start().await.expect("the broker starts");
    let client = client(&broker).await;
    client.apply(&Topology::new().queue(Queue::quorum("work").dead_letter())).await.expect("it is declared");
    let publisher = Publisher::new(&client);
    for number in 0..MESSAGES {
        let mut message = Outgoing::new("", "work.dlq", "body");
        message.metadata.message_id = Some(number.to_string());
        publisher.publish_raw(message).await.expect("it is routed");
    }
    broker.faults().on_nth_command(step, fault.clone());
    let dead = DeadLetters::new(&client, "work.dlq".into());
    for run in 0.. {
        assert!(run < 20, "it comes to an end, {fault:?} at {step}");
        // What went wrong is told; running it again goes on with the rest.
        let _told = dead.replay(Replay::to("work".into()).max_replays(99)).await;
        if broker.state().queue("work.dlq").is_some_and(|queue| queue.depth() == 0) {
            break;
        }
    }
    let work = DeadLetters::new(&client, "work".into());
    // A fault that has not struck yet strikes here.
    let letters = loop {
        if let Ok((letters, _)) = work.look(&Filter::new(), 1000).await {
            break letters;
        }
    };
    client.close().await;
    let mut counts = BTreeMap::new();
    for letter in &letters {
        *counts.entry(letter.id()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), MESSAGES, "lost: {fault:?} at {step}");
    counts.into_values().sum::<usize>() - MESSAGES
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_at_any_step_of_a_replay_loses_a_message() {
    let mut duplicates = 0;
    for fault in &faults() {
        let stories = (1..=STEPS).map(|step| story(step, fault));
        duplicates += join_all(stories).await.into_iter().sum::<usize>();
    }
    assert!(
        duplicates > 0,
        "no fault struck between a confirm and its acknowledgement: the test tests nothing"
    );
}
