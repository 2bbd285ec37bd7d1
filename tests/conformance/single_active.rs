//! Queues with a single active consumer.

use garenne_tests::wire::{Consumer, Queue, Wire};

use crate::behaviours;
use crate::steps::{fill, queues};

/// Declares a queue of each type, with a single active consumer.
fn singles() -> impl Iterator<Item = (&'static str, Queue)> {
    queues().into_iter().map(|(name, queue)| (name, queue.with("x-single-active-consumer", true)))
}

/// Publishes one message and returns who got it, after acknowledging it.
async fn turn(wire: &mut Wire, queue: &str) -> String {
    fill(wire, queue, 1).await;
    let delivery = wire.expect_delivery(1).await;
    wire.ack(1, delivery.tag).await;
    delivery.consumer_tag
}

behaviours! {
    area = "single active consumers", source = "https://www.rabbitmq.com/docs/consumers";

    /// Only the first consumer gets messages, however many there are.
    async fn the_first_consumer_alone_is_active(target: Target) {
        for (name, queue) in singles() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            for tag in ["first", "second", "third"] {
                wire.consume_with(1, Consumer::new(name).tag(tag)).await;
            }
            for _ in 0..4 {
                assert_eq!(turn(&mut wire, name).await, "first", "{name}");
            }
            wire.close().await;
        }
    }

    /// When the active consumer is cancelled, the one that has waited longest follows.
    async fn the_longest_waiting_follows(target: Target) {
        for (name, queue) in singles() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            for tag in ["first", "second", "third"] {
                wire.consume_with(1, Consumer::new(name).tag(tag)).await;
            }
            for tag in ["first", "second", "third"] {
                assert_eq!(turn(&mut wire, name).await, tag, "{name}");
                wire.cancel(1, tag).await;
            }
            wire.close().await;
        }
    }

    /// When the active consumer's channel closes, what it had not acknowledged goes to the next one, in order.
    async fn the_next_gets_what_was_unacknowledged(target: Target) {
        for (name, queue) in singles() {
            let mut wire = target.channel().await;
            wire.open_channel(2).await;
            wire.declare_queue(1, queue).await;
            wire.qos(2, 2).await;
            wire.consume_with(2, Consumer::new(name).tag("first")).await;
            wire.consume_with(1, Consumer::new(name).tag("second")).await;
            fill(&mut wire, name, 3).await;
            wire.expect_deliveries(2, 2).await;
            wire.close_channel(2).await;
            for (body, redelivered) in [("1", true), ("2", true), ("3", false)] {
                let delivery = wire.expect_delivery(1).await;
                assert_eq!((delivery.text().as_str(), delivery.redelivered), (body, redelivered), "{name}");
            }
            wire.close().await;
        }
    }

    /// A full prefetch of the active consumer does not make another one active.
    async fn a_busy_consumer_stays_active(target: Target) {
        for (name, queue) in singles() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            wire.qos(1, 1).await;
            wire.consume_with(1, Consumer::new(name).tag("first")).await;
            wire.consume_with(1, Consumer::new(name).tag("second")).await;
            fill(&mut wire, name, 2).await;
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(wire.ready(1, name).await, 1);
            wire.ack(1, delivery.tag).await;
            assert_eq!(wire.expect_delivery(1).await.consumer_tag, "first", "{name}");
            wire.close().await;
        }
    }

    /// A consumer of a higher priority takes over in a quorum queue.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues"]
    async fn a_higher_priority_takes_a_quorum_queue_over(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-single-active-consumer", true)).await;
        wire.consume_with(1, Consumer::new("q").tag("low")).await;
        assert_eq!(turn(&mut wire, "q").await, "low");
        wire.consume_with(1, Consumer::new("q").tag("high").with("x-priority", 1)).await;
        assert_eq!(turn(&mut wire, "q").await, "high");
        wire.cancel(1, "high").await;
        assert_eq!(turn(&mut wire, "q").await, "low");
    }

    /// In a quorum queue the active consumer is first let finish what it has unacknowledged.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues"]
    async fn a_takeover_waits_for_the_unacknowledged(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q").with("x-single-active-consumer", true)).await;
        wire.consume_with(1, Consumer::new("q").tag("low")).await;
        fill(&mut wire, "q", 1).await;
        let first = wire.expect_delivery(1).await;
        wire.consume_with(1, Consumer::new("q").tag("high").with("x-priority", 1)).await;
        fill(&mut wire, "q", 1).await;
        assert_eq!(wire.ready(1, "q").await, 1);
        wire.ack(1, first.tag).await;
        assert_eq!(wire.expect_delivery(1).await.consumer_tag, "high");
    }

    /// In a classic queue a priority takes nothing over: the active consumer stays.
    async fn priorities_do_not_take_a_classic_queue_over(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c").with("x-single-active-consumer", true)).await;
        wire.consume_with(1, Consumer::new("c").tag("low")).await;
        wire.consume_with(1, Consumer::new("c").tag("high").with("x-priority", 1)).await;
        assert_eq!(turn(&mut wire, "c").await, "low");
    }

    /// Of the waiting consumers the one of the highest priority follows.
    async fn the_highest_priority_follows(target: Target) {
        for (name, queue) in singles() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            wire.consume_with(1, Consumer::new(name).tag("active").with("x-priority", 9)).await;
            wire.consume_with(1, Consumer::new(name).tag("low").with("x-priority", 1)).await;
            wire.consume_with(1, Consumer::new(name).tag("high").with("x-priority", 5)).await;
            assert_eq!(turn(&mut wire, name).await, "active", "{name}");
            wire.cancel(1, "active").await;
            assert_eq!(turn(&mut wire, name).await, "high", "{name}");
            wire.close().await;
        }
    }

    /// A cancelled consumer that was active may acknowledge later; a quorum queue makes the next one active at once.
    async fn a_cancel_hands_over_at_once(target: Target) {
        for (name, queue) in singles() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            wire.consume_with(1, Consumer::new(name).tag("first")).await;
            fill(&mut wire, name, 1).await;
            let held = wire.expect_delivery(1).await;
            wire.consume_with(1, Consumer::new(name).tag("second")).await;
            wire.cancel(1, "first").await;
            assert_eq!(turn(&mut wire, name).await, "second", "{name}");
            wire.ack(1, held.tag).await;
            wire.close().await;
        }
    }

    /// An active consumer that was to yield to one of higher priority gets nothing before it has settled everything, also when that one
    /// has left meanwhile.
    #[source = "rabbit_fifo.erl: activate_next_consumer"]
    async fn a_takeover_that_is_given_up_is_waited_out(target: Target) {
        for waiting in [&[][..], &["other"]] {
            let mut wire = target.channel().await;
            wire.declare_queue(1, Queue::quorum("q").with("x-single-active-consumer", true)).await;
            wire.consume_with(1, Consumer::new("q").tag("low")).await;
            for tag in waiting {
                wire.consume_with(1, Consumer::new("q").tag(tag)).await;
            }
            fill(&mut wire, "q", 1).await;
            let first = wire.expect_delivery(1).await;
            wire.consume_with(1, Consumer::new("q").tag("high").with("x-priority", 1)).await;
            wire.cancel(1, "high").await;
            fill(&mut wire, "q", 1).await;
            wire.expect_ready(1, "q", 1).await;
            wire.expect_nothing(1).await;
            wire.ack(1, first.tag).await;
            assert_eq!(wire.expect_delivery(1).await.consumer_tag, "low");
            wire.delete_queue(1, "q").await;
            wire.close().await;
        }
    }
}
