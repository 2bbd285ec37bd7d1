//! What quorum queues alone do: they count deliveries and give up.

use garenne_tests::table;
use garenne_tests::wire::{Consumer, Delivery, Draft, Queue, Table};
use serde_json::json;

use crate::behaviours;
use crate::steps::{fill, put};

/// Returns the counts that a quorum queue adds to a message that has been out.
fn counts(acquired: i64, failed: i64) -> Table {
    table! { "x-acquired-count" => acquired, "x-delivery-count" => failed }
}

behaviours! {
    area = "quorum queues", source = "https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling";

    /// Each `basic.reject` with requeue counts in `x-delivery-count` and in `x-acquired-count`; the first delivery has neither.
    async fn a_requeueing_reject_counts_as_a_failure(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish_draft(1, Draft::to_queue("q").header("k", 1)).await;
        wire.consume(1, "q").await;
        for count in 0..4 {
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.redelivered, count > 0);
            let expected = if count == 0 { table! {} } else { counts(count, count) };
            assert_eq!(delivery.headers(), expected.with("k", 1));
            wire.reject(1, delivery.tag, true).await;
        }
    }

    /// A `basic.nack` with requeue counts in `x-acquired-count` only, and never reaches the limit.
    #[source = "rabbit_fifo.erl: return_one"]
    async fn a_requeueing_nack_is_no_failure(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-delivery-limit", 1)).await;
        wire.publish(1, "", "q", "hello").await;
        wire.consume(1, "q").await;
        for count in 0..5_i64 {
            let delivery = wire.expect_delivery(1).await;
            let expected = if count == 0 { table! {} } else { table! { "x-acquired-count" => count } };
            assert_eq!((delivery.headers(), delivery.redelivered), (expected, count > 0));
            wire.nack(1, delivery.tag, true).await;
        }
    }

    /// Deliveries and requeues of both kinds count each on their own.
    #[source = "rabbit_fifo_client.erl: add_delivery_count_header"]
    async fn acquisitions_and_failures_are_counted_apart(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish(1, "", "q", "hello").await;
        wire.consume(1, "q").await;
        for is_failure in [true, false, true] {
            let delivery = wire.expect_delivery(1).await;
            if is_failure {
                wire.reject(1, delivery.tag, true).await;
            } else {
                wire.nack(1, delivery.tag, true).await;
            }
        }
        assert_eq!(wire.expect_delivery(1).await.headers(), counts(3, 2));
    }

    /// A message that `basic.get` took and that came back counts in the same way.
    async fn a_get_counts_as_a_delivery(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to_queue("q")).await;
        let got = wire.get(1, "q").await.expect("it is there");
        assert_eq!((got.redelivered, got.headers()), (false, table! {}));
        wire.reject(1, got.tag, true).await;
        wire.expect_ready(1, "q", 1).await;
        let got = wire.take_one(1, "q").await;
        assert_eq!((got.redelivered, got.headers()), (true, counts(1, 1)));
    }

    /// A delivery whose channel closes comes back as a failure.
    #[source = "rabbit_fifo.erl: return_all"]
    async fn a_closed_channel_is_a_failure(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-delivery-limit", 3)).await;
        wire.publish(1, "", "q", "hello").await;
        for count in 0..4_i64 {
            wire.open_channel(2).await;
            wire.consume(2, "q").await;
            let delivery = wire.expect_delivery(2).await;
            let expected = if count == 0 { table! {} } else { counts(count, count) };
            assert_eq!(delivery.headers(), expected);
            wire.close_channel(2).await;
        }
        wire.publish(1, "", "q", "marker").await;
        wire.consume(1, "q").await;
        assert_eq!(wire.expect_delivery(1).await.text(), "marker");
    }

    /// Without a limit of its own a quorum queue gives a message up after the twenty-first failure.
    async fn the_delivery_limit_is_twenty(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.publish(1, "", "q", "hello").await;
        wire.consume(1, "q").await;
        for _ in 0..=20 {
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.text(), "hello");
            wire.reject(1, delivery.tag, true).await;
        }
        wire.publish(1, "", "q", "marker").await;
        assert_eq!(wire.expect_delivery(1).await.text(), "marker");
    }

    /// A delivery limit of 0 gives a message up at its first failure.
    async fn a_delivery_limit_of_zero_allows_no_failure(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-delivery-limit", 0)).await;
        wire.publish(1, "", "q", "hello").await;
        wire.publish(1, "", "q", "marker").await;
        wire.qos(1, 1).await;
        wire.consume(1, "q").await;
        let delivery = wire.expect_delivery(1).await;
        wire.reject(1, delivery.tag, true).await;
        assert_eq!(wire.expect_delivery(1).await.text(), "marker");
    }

    /// A delivery limit of -1 never gives a message up.
    async fn a_negative_delivery_limit_is_none(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-delivery-limit", -1)).await;
        wire.publish(1, "", "q", "hello").await;
        wire.consume(1, "q").await;
        for _ in 0..30 {
            let delivery = wire.expect_delivery(1).await;
            wire.reject(1, delivery.tag, true).await;
        }
        assert_eq!(wire.expect_delivery(1).await.headers(), counts(30, 30));
    }

    /// Of the delivery limits of argument and policy the lower one holds.
    #[source = "rabbit_quorum_queue.erl: resolve_delivery_limit"]
    async fn the_lower_delivery_limit_holds(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("limit", "^(low|high)$", json!({ "delivery-limit": 2 }), "queues", 0).await;
        for (queue, argument, deliveries) in [("low", 1, 2), ("high", 5, 3)] {
            wire.declare_queue(1, Queue::quorum(queue).with("x-delivery-limit", argument)).await;
            wire.publish(1, "", queue, "hello").await;
            let tag = wire.consume(1, queue).await;
            for _ in 0..deliveries {
                let delivery = wire.expect_delivery(1).await;
                assert_eq!(delivery.text(), "hello");
                wire.reject(1, delivery.tag, true).await;
            }
            wire.publish(1, "", queue, "marker").await;
            assert_eq!(wire.expect_delivery(1).await.text(), "marker");
            wire.cancel(1, &tag).await;
        }
    }

    /// What comes back to a quorum queue is delivered before everything that waits, in the order in which it came back.
    #[source = "rabbit_fifo.erl: take_next_msg"]
    async fn what_comes_back_is_first(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        for body in ["1", "2", "3", "4"] {
            wire.publish(1, "", "q", body).await;
        }
        wire.qos(1, 3).await;
        wire.consume_with(1, Consumer::new("q").tag("t")).await;
        let tags: Vec<_> = wire.expect_deliveries(1, 3).await.iter().map(|delivery| delivery.tag).collect();
        wire.cancel(1, "t").await;
        for nth in [2, 0, 1] {
            wire.nack(1, tags[nth], true).await;
        }
        wire.expect_ready(1, "q", 4).await;
        wire.qos(1, 0).await;
        wire.consume(1, "q").await;
        let order: Vec<_> = wire.expect_deliveries(1, 4).await.iter().map(Delivery::text).collect();
        assert_eq!(order, ["3", "1", "2", "4"]);
    }

    /// A classic queue adds no counts, however often a message comes back.
    #[source = "https://www.rabbitmq.com/docs/classic-queues"]
    async fn a_classic_queue_does_not_count(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.publish(1, "", "q", "hello").await;
        wire.consume(1, "q").await;
        for count in 0..30 {
            let delivery = wire.expect_delivery(1).await;
            assert_eq!((delivery.redelivered, delivery.headers()), (count > 0, table! {}));
            wire.reject(1, delivery.tag, true).await;
        }
    }

    /// What a publisher writes into `x-delivery-count` neither counts nor lasts once the queue counts itself.
    #[source = "rabbit_fifo_client.erl: add_delivery_count_header"]
    async fn a_published_count_is_replaced(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-delivery-limit", 2)).await;
        wire.publish_draft(1, Draft::to_queue("q").header("x-delivery-count", 7_i64)).await;
        wire.consume(1, "q").await;
        let first = wire.expect_delivery(1).await;
        assert_eq!((first.redelivered, first.headers()), (false, table! { "x-delivery-count" => 7_i64 }));
        wire.reject(1, first.tag, true).await;
        assert_eq!(wire.expect_delivery(1).await.headers(), counts(1, 1));
    }

    /// What a closed channel gives back comes in the order in which its consumers subscribed, and what it got comes last.
    #[source = "rabbit_fifo.erl: handle_down"]
    async fn a_closed_channel_gives_back_by_consumer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.open_channel(2).await;
        fill(&mut wire, "q", 1).await;
        wire.get(2, "q").await.expect("it is ready");
        wire.qos(2, 1).await;
        for tag in ["z", "a"] {
            wire.consume_with(2, Consumer::new("q").tag(tag)).await;
        }
        put(&mut wire, ["2", "3", "4"].map(|body| Draft::to_queue("q").body(body))).await;
        let first = wire.expect_deliveries(2, 2).await.remove(0);
        assert_eq!(first.consumer_tag, "z");
        wire.ack(2, first.tag).await;
        wire.expect_delivery(2).await;
        wire.cancel(2, "z").await;
        wire.close_channel(2).await;
        wire.expect_ready(1, "q", 3).await;
        wire.consume(1, "q").await;
        let order: Vec<_> = wire.expect_deliveries(1, 3).await.iter().map(Delivery::text).collect();
        assert_eq!(order, ["4", "3", "1"]);
    }

    /// What one command makes deliverable goes out by consumer, in the order of subscription.
    #[source = "rabbit_fifo.erl: delivery_effects"]
    async fn deliveries_of_one_command_go_out_by_consumer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.open_channel(2).await;
        wire.consume_with(2, Consumer::new("q").tag("gone").with("x-priority", 1)).await;
        for tag in ["one", "two"] {
            wire.consume_with(1, Consumer::new("q").tag(tag)).await;
        }
        fill(&mut wire, "q", 4).await;
        wire.expect_deliveries(2, 4).await;
        wire.close_channel(2).await;
        let order = wire.expect_deliveries(1, 4).await;
        let order: Vec<_> = order.iter().map(|it| (it.consumer_tag.as_str(), it.text())).collect();
        let expected = [("one", "1"), ("one", "3"), ("two", "2"), ("two", "4")];
        assert_eq!(order, expected.map(|(tag, body)| (tag, body.to_owned())));
    }

    /// Without acknowledgements too a consumer gets no more at once than its prefetch, while others have room.
    #[source = "rabbit_fifo_client.erl: handle_delivery"]
    async fn a_prefetch_counts_within_one_command(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.open_channel(2).await;
        wire.consume_with(2, Consumer::new("q").tag("gone").with("x-priority", 1)).await;
        wire.qos(1, 1).await;
        wire.consume_with(1, Consumer::new("q").tag("one").no_ack()).await;
        wire.qos(1, 2).await;
        wire.consume_with(1, Consumer::new("q").tag("two")).await;
        fill(&mut wire, "q", 3).await;
        wire.expect_deliveries(2, 3).await;
        wire.close_channel(2).await;
        let order = wire.expect_deliveries(1, 3).await;
        let order: Vec<_> = order.iter().map(|it| (it.consumer_tag.as_str(), it.text())).collect();
        assert_eq!(order, [("one", "1"), ("two", "2"), ("two", "3")].map(|(tag, body)| (tag, body.to_owned())));
    }
}
