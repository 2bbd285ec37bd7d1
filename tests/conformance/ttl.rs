//! Messages and queues that live for a limited time.

use std::time::Instant;

use garenne_tests::Target;
use garenne_tests::wire::{Delivery, Draft, Queue};
use serde_json::json;

use crate::behaviours;
use crate::steps::{KINDS, expires};

fn queue(kind: &str) -> Queue {
    Queue::plain(kind).with("x-queue-type", kind)
}

/// Lets so many milliseconds go by on the broker's clock.
async fn pass(target: &Target, milliseconds: u32) {
    let mut wire = target.channel().await;
    wire.declare_queue(1, Queue::classic("clock")).await;
    wire.confirm_select(1).await;
    wire.publish_confirmed(1, 1, Draft::to_queue("clock").expiration(&milliseconds.to_string())).await;
    wire.expect_ready(1, "clock", 0).await;
    wire.close().await;
}

behaviours! {
    area = "time to live", source = "https://www.rabbitmq.com/docs/ttl";

    /// A message that has been in a queue for the queue's `x-message-ttl` is gone.
    async fn the_time_to_live_of_a_queue(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        for (number, kind) in (1..).zip(KINDS) {
            wire.declare_queue(1, queue(kind).with("x-message-ttl", 1000)).await;
            let start = Instant::now();
            wire.publish_confirmed(1, number, Draft::to_queue(kind)).await;
            wire.expect_ready(1, kind, 1).await;
            wire.expect_ready(1, kind, 0).await;
            assert!(start.elapsed().as_millis() >= 1000, "{:?}", start.elapsed());
        }
    }

    /// The property `expiration` limits one message, and stays on it.
    async fn the_expiration_of_a_message(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind)).await;
            for expiration in ["1", "60000"] {
                number += 1;
                wire.publish_confirmed(1, number, Draft::to_queue(kind).expiration(expiration)).await;
            }
            wire.expect_ready(1, kind, 1).await;
            assert_eq!(wire.take_one(1, kind).await.properties.expiration(), &Some("60000".into()));
        }
    }

    /// Of the time to live of the queue and that of the message the shorter one holds.
    async fn the_shorter_time_holds(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        for (number, kind) in (1..).zip(KINDS) {
            wire.declare_queue(1, queue(kind).with("x-message-ttl", 1)).await;
            wire.publish_confirmed(1, number * 3 - 2, Draft::to_queue(kind).expiration("60000").body("long")).await;
            wire.expect_ready(1, kind, 0).await;
            wire.delete_queue(1, kind).await;
            wire.declare_queue(1, queue(kind).with("x-message-ttl", 60_000)).await;
            wire.publish_draft(1, Draft::to_queue(kind).expiration("1").body("short")).await;
            wire.publish(1, "", kind, "marker").await;
            wire.expect_confirms_from(1, number * 3 - 1, 2).await;
            wire.expect_ready(1, kind, 1).await;
            assert_eq!(wire.take_one(1, kind).await.text(), "marker");
        }
    }

    /// An expired message behind one that lives on is counted until it comes to the head, but is never delivered.
    #[source = "https://www.rabbitmq.com/docs/ttl#per-message-ttl-caveats"]
    async fn messages_expire_at_the_head_only(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind)).await;
            let head = Draft::to_queue(kind).body("head");
            let hidden = Draft::to_queue(kind).expiration("1").body("hidden");
            for draft in [head, hidden] {
                number += 1;
                wire.publish_confirmed(1, number, draft).await;
            }
            pass(&target, 200).await;
            assert_eq!(wire.ready(1, kind).await, 2);
            assert_eq!(wire.take_one(1, kind).await.text(), "head");
            wire.expect_ready(1, kind, 0).await;
            assert!(wire.get(1, kind).await.is_none());
        }
    }

    /// With a time to live of 0 a message reaches a waiting consumer, or is gone at once.
    async fn zero_is_now_or_never(target: Target) {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        for (number, kind) in (1..).zip(KINDS) {
            wire.declare_queue(1, queue(kind).with("x-message-ttl", 0)).await;
            wire.publish_confirmed(1, number * 2 - 1, Draft::to_queue(kind).body("nobody waits")).await;
            wire.expect_ready(1, kind, 0).await;
            let tag = wire.consume(1, kind).await;
            wire.publish_confirmed(1, number * 2, Draft::to_queue(kind).body("somebody waits")).await;
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.text(), "somebody waits");
            wire.ack(1, delivery.tag).await;
            wire.cancel(1, &tag).await;
        }
    }

    /// The time of a message runs on while a consumer has it: requeued too late it is gone.
    async fn requeueing_does_not_renew_the_time(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind).with("x-message-ttl", 300)).await;
            wire.publish(1, "", kind, "old").await;
            let tag = wire.consume(1, kind).await;
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.text(), "old");
            pass(&target, 600).await;
            wire.cancel(1, &tag).await;
            wire.nack(1, delivery.tag, true).await;
            wire.expect_ready(1, kind, 0).await;
            wire.publish(1, "", kind, "new").await;
            wire.consume(1, kind).await;
            assert_eq!(wire.expect_delivery(1).await.text(), "new");
        }
    }

    /// Of the times to live of argument and policy the lower one holds.
    #[source = "https://www.rabbitmq.com/docs/ttl#message-ttl-using-policy"]
    async fn the_lower_of_policy_and_argument_holds(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("ttl", "^(classic|quorum)$", json!({ "message-ttl": 1 }), "queues", 0).await;
        wire.confirm_select(1).await;
        for (number, kind) in (1..).zip(KINDS) {
            wire.declare_queue(1, queue(kind).with("x-message-ttl", 60_000)).await;
            wire.publish_confirmed(1, number, Draft::to_queue(kind)).await;
            wire.expect_ready(1, kind, 0).await;
        }
    }

    /// A queue that nobody uses for the time of `x-expires` is deleted, whatever it holds.
    #[source = "https://www.rabbitmq.com/docs/ttl#queue-ttl"]
    async fn an_unused_queue_expires(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            // Long enough to be declared on a busy machine: RabbitMQ answers with an error if it expires before that.
            wire.declare_queue(1, queue(kind).with("x-expires", 500)).await;
            expires(&mut wire, kind).await;
        }
    }

    /// A queue with a consumer is in use, and does not expire.
    #[source = "https://www.rabbitmq.com/docs/ttl#queue-ttl"]
    async fn a_consumed_queue_does_not_expire(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind).with("x-expires", 200)).await;
            wire.consume(1, kind).await;
            pass(&target, 600).await;
            wire.publish(1, "", kind, "still here").await;
            assert_eq!(wire.expect_delivery(1).await.text(), "still here");
        }
    }

    /// Expired messages are not delivered to a consumer that comes late; those behind them are.
    async fn a_late_consumer_gets_what_lives(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            wire.declare_queue(1, queue(kind)).await;
            for expiration in ["1", "2", "60000", "1"] {
                wire.publish_draft(1, Draft::to_queue(kind).expiration(expiration).body(expiration)).await;
            }
            wire.publish(1, "", kind, "last").await;
            wire.expect_ready(1, kind, 3).await;
            let tag = wire.consume(1, kind).await;
            let bodies: Vec<_> = wire.expect_deliveries(1, 2).await.iter().map(Delivery::text).collect();
            assert_eq!(bodies, ["60000", "last"]);
            wire.cancel(1, &tag).await;
        }
    }

    /// A message with a time to live of 0 that was delivered and comes back to a classic queue expires: it is not delivered again.
    async fn zero_is_over_when_it_comes_back(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q")).await;
        wire.consume(1, "q").await;
        for _ in 0..50 {
            wire.publish_draft(1, Draft::to_queue("q").expiration("0").body("now or never")).await;
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.text(), "now or never");
            wire.reject(1, delivery.tag, true).await;
            wire.publish(1, "", "q", "marker").await;
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.text(), "marker");
            wire.ack(1, delivery.tag).await;
        }
    }

    /// A passive declare renews the lease of a classic queue with `x-expires`.
    #[source = "https://www.rabbitmq.com/docs/ttl#queue-ttl"]
    async fn a_passive_declare_renews_the_lease(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("leased").with("x-expires", 4000)).await;
        for _ in 0..5 {
            pass(&target, 1000).await;
            wire.declare_queue(1, Queue::passive("leased")).await;
        }
    }
}
