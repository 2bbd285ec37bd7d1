//! Delayed retries of quorum queues.

use garenne_tests::wire::{Draft, Queue};
use garenne_tests::{SECONDS, eventually, table};

use crate::behaviours;
use crate::steps::{fill, put};

behaviours! {
    area = "delayed retries", source = "https://www.rabbitmq.com/docs/quorum-queues";

    /// With delayed retries of what failed, a rejected message comes back after the delay, and a nacked one at once.
    async fn failed_messages_may_be_delayed(target: Target) {
        let mut wire = target.channel().await;
        let queue = Queue::quorum("q").with("x-delayed-retry-type", "failed");
        wire.declare_queue(1, queue.with("x-delayed-retry-min", 1_000)).await;
        fill(&mut wire, "q", 1).await;
        wire.consume(1, "q").await;
        let tag = wire.expect_delivery(1).await.tag;
        wire.nack(1, tag, true).await;
        let tag = wire.expect_delivery(1).await.tag;
        wire.reject(1, tag, true).await;
        put(&mut wire, [Draft::to_queue("q").body("meanwhile")]).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "meanwhile");
        let back = wire.expect_delivery(1).await;
        assert_eq!(back.text(), "1");
        assert_eq!(back.headers(), table! { "x-acquired-count" => 2_i64, "x-delivery-count" => 1_i64 });
    }

    /// With delayed retries of what was returned, a nacked message comes back after the delay, and a rejected one at once.
    async fn returned_messages_may_be_delayed(target: Target) {
        let mut wire = target.channel().await;
        let queue = Queue::quorum("q").with("x-delayed-retry-type", "returned");
        wire.declare_queue(1, queue.with("x-delayed-retry-min", 1_000)).await;
        fill(&mut wire, "q", 1).await;
        wire.consume(1, "q").await;
        let tag = wire.expect_delivery(1).await.tag;
        wire.reject(1, tag, true).await;
        let tag = wire.expect_delivery(1).await.tag;
        wire.nack(1, tag, true).await;
        put(&mut wire, [Draft::to_queue("q").body("meanwhile")]).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "meanwhile");
        assert_eq!(wire.expect_delivery(1).await.text(), "1");
    }

    /// With delayed retries of all, both come back after the delay.
    async fn everything_may_be_delayed(target: Target) {
        let mut wire = target.channel().await;
        let queue = Queue::quorum("q").with("x-delayed-retry-type", "all").with("x-delayed-retry-max", 1_000);
        wire.declare_queue(1, queue.with("x-delayed-retry-min", 500)).await;
        fill(&mut wire, "q", 2).await;
        wire.consume(1, "q").await;
        wire.expect_deliveries(1, 2).await;
        wire.nack(1, 1, true).await;
        wire.reject(1, 2, true).await;
        put(&mut wire, [Draft::to_queue("q").body("meanwhile")]).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "meanwhile");
        let mut back = [wire.expect_delivery(1).await.text(), wire.expect_delivery(1).await.text()];
        back.sort();
        assert_eq!(back, ["1", "2"]);
    }

    /// A delayed message is not ready: a get does not find it before its time.
    async fn a_delayed_message_is_not_ready(target: Target) {
        let mut wire = target.channel().await;
        let queue = Queue::quorum("q").with("x-delayed-retry-type", "all");
        wire.declare_queue(1, queue.with("x-delayed-retry-min", 1_000)).await;
        fill(&mut wire, "q", 1).await;
        let tag = wire.get(1, "q").await.expect("it is ready").tag;
        wire.nack(1, tag, true).await;
        assert!(wire.get(1, "q").await.is_none());
        eventually(60 * SECONDS, "it is ready again", async || {
            wire.get(1, "q").await.map(|got| got.text()).ok_or(())
        })
        .await;
    }
}
