//! Steps that many behaviours take.

use garenne_tests::wire::{Delivery, Draft, Event, Queue, Wire};
use garenne_tests::{SECONDS, eventually};

/// The types of queue that keep their messages until they are settled.
pub(crate) const KINDS: [&str; 2] = ["classic", "quorum"];

/// The channel on which these steps publish, open only meanwhile.
const PUBLISHER: u16 = 9;

/// One queue of each type that keeps its messages until they are settled, with its name.
pub(crate) fn queues() -> [(&'static str, Queue); 2] {
    [("c", Queue::classic("c")), ("q", Queue::quorum("q"))]
}

/// Publishes so many messages to a queue, with their numbers as bodies, and waits until it has them.
pub(crate) async fn fill(wire: &mut Wire, queue: &str, count: u64) {
    let drafts = (1..=count).map(|number| Draft::to_queue(queue).body(number.to_string()));
    put(wire, drafts).await;
}

/// Publishes messages and waits for their confirms.
pub(crate) async fn put(wire: &mut Wire, drafts: impl IntoIterator<Item = Draft>) {
    wire.open_channel(PUBLISHER).await;
    wire.confirm_select(PUBLISHER).await;
    let mut count = 0;
    for draft in drafts {
        wire.publish_draft(PUBLISHER, draft).await;
        count += 1;
    }
    wire.expect_confirms(PUBLISHER, count).await;
    wire.close_channel(PUBLISHER).await;
}

/// Waits until so many messages are ready in a queue.
pub(crate) async fn becomes(wire: &mut Wire, queue: &str, ready: u32) {
    eventually(60 * SECONDS, &format!("{queue} has {ready} ready messages"), async || {
        match wire.ready(1, queue).await {
            found if found == ready => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

/// Waits until a queue has expired. It is only published to: to ask for it is to use it.
pub(crate) async fn expires(wire: &mut Wire, queue: &str) {
    wire.open_channel(PUBLISHER).await;
    wire.confirm_select(PUBLISHER).await;
    let mut number = 0;
    eventually(60 * SECONDS, &format!("a mandatory message to {queue} comes back"), async || {
        number += 1;
        wire.publish_draft(PUBLISHER, Draft::to_queue(queue).mandatory()).await;
        // It comes back ahead of its confirm.
        let first = wire.peek(PUBLISHER).await;
        let is_back = matches!(first, Event::Content(_));
        if is_back {
            assert_eq!(wire.expect_return(PUBLISHER).await.code, 312);
        }
        wire.expect_confirms_from(PUBLISHER, number, 1).await;
        if is_back { Ok(()) } else { Err(first) }
    })
    .await;
    wire.close_channel(PUBLISHER).await;
}

/// Takes the next so many deliveries of channel 1 and returns their bodies.
pub(crate) async fn bodies(wire: &mut Wire, count: usize) -> Vec<String> {
    wire.expect_deliveries(1, count).await.iter().map(Delivery::text).collect()
}

/// Takes everything out of a queue for good and returns the bodies.
pub(crate) async fn drain(wire: &mut Wire, queue: &str, count: u32) -> Vec<String> {
    becomes(wire, queue, count).await;
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(wire.take_one(1, queue).await.text());
    }
    bodies
}
