//! What a full queue does, beyond dropping what is published.

use garenne_tests::wire::{Confirm, Draft, Exchange, Queue};
use garenne_tests::{SECONDS, eventually};

use crate::behaviours;
use crate::steps::{drain, fill, put};

behaviours! {
    area = "overflow", source = "https://www.rabbitmq.com/docs/maxlength";

    /// A full quorum queue with `reject-publish` refuses too, and takes publishes again when it is empty enough.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues"]
    async fn a_full_quorum_queue_may_refuse(target: Target) {
        let mut wire = target.channel().await;
        let queue = Queue::quorum("q").with("x-max-length", 2).with("x-overflow", "reject-publish");
        wire.declare_queue(1, queue).await;
        wire.confirm_select(1).await;
        let mut number = 0;
        // How many beyond the limit are let in depends on when the queue tells its publishers.
        loop {
            number += 1;
            wire.publish(1, "", "q", "hello").await;
            if wire.expect_confirms_from(1, number, 1).await == [Confirm::Nack] {
                break;
            }
            assert!(number < 10, "it never refuses");
        }
        wire.purge(1, "q").await;
        eventually(60 * SECONDS, "it takes messages again", async || {
            number += 1;
            wire.publish(1, "", "q", "again").await;
            match wire.expect_confirms_from(1, number, 1).await[0] {
                Confirm::Ack => Ok(()),
                Confirm::Nack => Err(()),
            }
        })
        .await;
    }

    /// A requeue into a full queue drops the head of the queue, as a publish does.
    async fn a_requeue_into_a_full_queue_drops_too(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c").with("x-max-length", 1)).await;
        fill(&mut wire, "c", 1).await;
        let got = wire.get(1, "c").await.expect("it is there");
        put(&mut wire, [Draft::to_queue("c").body("2")]).await;
        wire.nack(1, got.tag, true).await;
        assert_eq!(drain(&mut wire, "c", 1).await, ["2"]);
    }

    /// A full queue that is bound to an exchange among others drops its own head only.
    async fn each_queue_has_its_own_limit(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "x")).await;
        for (name, length) in [("one", 1), ("two", 2)] {
            wire.declare_queue(1, Queue::quorum(name).with("x-max-length", length)).await;
            wire.bind(1, "x", "", name).await;
        }
        put(&mut wire, ["1", "2", "3"].map(|body| Draft::to("x", "").body(body))).await;
        assert_eq!(drain(&mut wire, "one", 1).await, ["3"]);
        assert_eq!(drain(&mut wire, "two", 2).await, ["2", "3"]);
    }

    /// A full quorum queue drops its head too, which is the oldest message of the highest priority.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues"]
    async fn a_full_quorum_queue_drops_the_highest(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-max-length", 2)).await;
        let draft = |priority: u8| Draft::to_queue("q").priority(priority).body(priority.to_string());
        put(&mut wire, [9, 1, 5].map(draft)).await;
        assert_eq!(drain(&mut wire, "q", 2).await, ["5", "1"]);
    }
}
