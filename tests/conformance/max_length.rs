//! Queues with a limit to their length.

use garenne_tests::wire::{Confirm, Consumer, Delivery, Draft, Queue, Wire};
use serde_json::json;

use crate::behaviours;
use crate::steps::KINDS;

fn queue(kind: &str) -> Queue {
    Queue::plain(kind).with("x-queue-type", kind)
}

/// Takes everything that is in a queue, and returns the bodies.
async fn take_all(wire: &mut Wire, queue: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    let count = wire.ready(1, queue).await as usize;
    let tag = wire.consume_with(1, Consumer::new(queue).no_ack()).await;
    bodies.extend(wire.expect_deliveries(1, count).await.iter().map(Delivery::text));
    wire.cancel(1, &tag).await;
    bodies
}

behaviours! {
    area = "length limits", source = "https://www.rabbitmq.com/docs/maxlength";

    /// A queue with more messages than `x-max-length` drops the oldest ones, and confirms the new one.
    async fn the_oldest_message_is_dropped(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind).with("x-max-length", 2)).await;
            for body in ["1", "2", "3", "4"] {
                number += 1;
                wire.publish_confirmed(1, number, Draft::to_queue(kind).body(body)).await;
            }
            assert_eq!(take_all(&mut wire, kind).await, ["3", "4"]);
        }
    }

    /// A classic queue keeps as many messages as their bodies fit into `x-max-length-bytes`.
    async fn the_bytes_of_the_bodies_are_limited(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        wire.declare_queue(1, queue("classic").with("x-max-length-bytes", 10)).await;
        for (number, body) in (1..).zip(["aaaa", "bbbb", "cc", "d", "eeeeeeeeeee"]) {
            wire.publish_confirmed(1, number, Draft::to_queue("classic").header("k", "ignored").body(body)).await;
            let ready = wire.ready(1, "classic").await;
            // 4, 8, 10; 11 is too much, and so is 11 alone.
            assert_eq!(ready, [1, 2, 3, 3, 0][usize::try_from(number).expect("it is small") - 1]);
        }
    }

    /// Whichever of the two limits is reached first holds.
    async fn both_limits_hold(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        wire.declare_queue(1, queue("classic").with("x-max-length-bytes", 10).with("x-max-length", 2)).await;
        for (number, body) in (1..).zip(["a", "b", "c", "dddddddddd"]) {
            wire.publish_confirmed(1, number, Draft::to_queue("classic").body(body)).await;
        }
        assert_eq!(take_all(&mut wire, "classic").await, ["dddddddddd"]);
    }

    /// Only messages that are ready count; what comes back drops the oldest.
    async fn unacknowledged_messages_do_not_count(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind).with("x-max-length", 1)).await;
            wire.qos(1, 1).await;
            let mut publish = async |wire: &mut Wire, body: &str| {
                number += 1;
                wire.publish_confirmed(1, number, Draft::to_queue(kind).body(body)).await;
            };
            publish(&mut wire, "1").await;
            let tag = wire.consume(1, kind).await;
            let first = wire.expect_delivery(1).await;
            wire.cancel(1, &tag).await;
            publish(&mut wire, "2").await;
            assert_eq!(wire.ready(1, kind).await, 1);
            wire.nack(1, first.tag, true).await;
            wire.expect_ready(1, kind, 1).await;
            assert_eq!(wire.take_one(1, kind).await.text(), "2");
        }
    }

    /// With `reject-publish` a full classic queue refuses by `basic.nack` what would make it too long, and takes more once there is room.
    #[source = "https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"]
    async fn a_full_classic_queue_refuses(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        let full = queue("classic").with("x-max-length", 2).with("x-overflow", "reject-publish");
        wire.declare_queue(1, full).await;
        for body in ["1", "2", "3"] {
            wire.publish(1, "", "classic", body).await;
        }
        assert_eq!(wire.expect_confirms(1, 3).await, [Confirm::Ack, Confirm::Ack, Confirm::Nack]);
        assert_eq!(wire.take_one(1, "classic").await.text(), "1");
        wire.publish_confirmed(1, 4, Draft::to_queue("classic").body("4")).await;
        assert_eq!(take_all(&mut wire, "classic").await, ["2", "4"]);
    }

    /// Without confirms a refused message is dropped in silence.
    #[source = "https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"]
    async fn without_confirms_a_refused_message_is_dropped(target: Target) {
        let mut wire = target.channel().await;
        let full = queue("classic").with("x-max-length", 1).with("x-overflow", "reject-publish");
        wire.declare_queue(1, full).await;
        wire.publish(1, "", "classic", "1").await;
        wire.publish(1, "", "classic", "2").await;
        wire.expect_ready(1, "classic", 1).await;
        wire.expect_nothing(1).await;
        assert_eq!(take_all(&mut wire, "classic").await, ["1"]);
    }

    /// A message for two queues of which one refuses is refused, and stays in the other.
    #[source = "https://www.rabbitmq.com/docs/confirms#when-publishes-are-confirmed"]
    async fn one_refusal_refuses(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        let full = queue("classic").with("x-max-length", 0).with("x-overflow", "reject-publish");
        wire.declare_queue(1, full).await;
        wire.declare_queue(1, Queue::quorum("open")).await;
        for queue in ["classic", "open"] {
            wire.bind(1, "amq.fanout", "", queue).await;
        }
        wire.publish(1, "amq.fanout", "", "hello").await;
        assert_eq!(wire.expect_confirms(1, 1).await, [Confirm::Nack]);
        wire.expect_ready(1, "open", 1).await;
        assert_eq!(wire.ready(1, "classic").await, 0);
    }

    /// With `x-max-length` 0 a message is for a waiting consumer or for nobody.
    async fn a_queue_of_length_zero_passes_on(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        for (number, kind) in (1..).zip(KINDS) {
            wire.declare_queue(1, queue(kind).with("x-max-length", 0)).await;
            wire.publish_confirmed(1, number * 2 - 1, Draft::to_queue(kind).body("nobody waits")).await;
            wire.expect_ready(1, kind, 0).await;
            let tag = wire.consume(1, kind).await;
            wire.publish_confirmed(1, number * 2, Draft::to_queue(kind).body("somebody waits")).await;
            assert_eq!(wire.expect_delivery(1).await.text(), "somebody waits");
            wire.cancel(1, &tag).await;
        }
    }

    /// Of the lengths of argument and policy the lower one holds.
    async fn the_lower_length_holds(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("length", "^(low|high)$", json!({ "max-length": 2 }), "queues", 0).await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for (name, argument, left) in [("low", 1, 1), ("high", 5, 2)] {
            wire.declare_queue(1, Queue::classic(name).with("x-max-length", argument)).await;
            for _ in 0..4 {
                number += 1;
                wire.publish_confirmed(1, number, Draft::to_queue(name)).await;
            }
            assert_eq!(wire.ready(1, name).await, left);
        }
    }

    /// What is dropped from a classic queue with priorities is what its consumers would get first.
    #[source = "https://www.rabbitmq.com/docs/priority#interaction-with-other-features"]
    async fn the_head_of_a_priority_queue_is_dropped(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        wire.declare_queue(1, queue("classic").with("x-max-length", 2).with("x-max-priority", 5)).await;
        for (number, priority) in (1..).zip([1, 5, 3]) {
            let draft = Draft::to_queue("classic").priority(priority).body(priority.to_string());
            wire.publish_confirmed(1, number, draft).await;
        }
        let left = take_all(&mut wire, "classic").await;
        assert_eq!(left, ["3", "1"]);
    }
}
