//! Dead letters that a quorum queue keeps until their queues have confirmed them.

use garenne_tests::Target;
use garenne_tests::wire::{AMQPValue, Confirm, Consumer, Draft, Exchange, Queue, Wire};
use serde_json::json;

use crate::behaviours;
use crate::steps::{becomes, drain};

/// Returns the quorum queue `q`, which keeps its dead letters and takes so many messages.
fn keeping(length: i64) -> Queue {
    let queue =
        Queue::quorum("q").with("x-dead-letter-strategy", "at-least-once").with("x-max-length", length);
    queue.with("x-overflow", "reject-publish").with("x-dead-letter-exchange", "dlx")
}

/// Publishes a message to `q` on a connection of its own and returns its verdict.
async fn publish(target: &Target, draft: Draft) -> Confirm {
    let mut wire = target.channel().await;
    wire.confirm_select(1).await;
    wire.publish_draft(1, draft).await;
    let verdicts = wire.expect_confirms(1, 1).await;
    wire.close().await;
    verdicts[0]
}

/// Publishes a message to `q`, waits for it and refuses it.
async fn die(target: &Target, wire: &mut Wire, body: &str) {
    assert_eq!(publish(target, Draft::to_queue("q").body(body)).await, Confirm::Ack);
    let tag = wire.consume(1, "q").await;
    let delivery = wire.expect_delivery(1).await;
    wire.cancel(1, &tag).await;
    wire.reject(1, delivery.tag, false).await;
}

behaviours! {
    area = "dead letters at least once",
    source = "https://www.rabbitmq.com/docs/quorum-queues#activating-at-least-once-dead-lettering";

    /// Dead letters of every reason arrive, and are told as those at most once are.
    async fn dead_letters_of_every_reason_arrive(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, keeping(9).with("x-delivery-limit", 0)).await;
        wire.open_channel(2).await;
        wire.declare_queue(2, Queue::classic("end")).await;
        wire.bind(2, "dlx", "", "end").await;
        wire.consume_with(2, Consumer::new("end").no_ack()).await;
        die(&target, &mut wire, "rejected").await;
        let told = |headers: garenne_tests::wire::Table| headers.text("x-last-death-reason");
        assert_eq!(told(wire.expect_delivery(2).await.headers()).as_deref(), Some("rejected"));
        publish(&target, Draft::to_queue("q").expiration("1")).await;
        let dead = wire.expect_delivery(2).await;
        assert_eq!((told(dead.headers()).as_deref(), dead.properties.expiration()), (Some("expired"), &None));
        assert_eq!(dead.headers().tables("x-death")[0].text("original-expiration").as_deref(), Some("1"));
        publish(&target, Draft::to_queue("q")).await;
        wire.consume(1, "q").await;
        let delivery = wire.expect_delivery(1).await;
        wire.reject(1, delivery.tag, true).await;
        let headers = wire.expect_delivery(2).await.headers();
        assert_eq!(told(headers.clone()).as_deref(), Some("delivery_limit"));
        assert_eq!(headers.tables("x-death")[0].get("count"), Some(&AMQPValue::LongLongInt(1)));
    }

    /// Every queue that the dead-letter exchange leads to gets the dead letter.
    async fn every_dead_letter_queue_gets_it(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, keeping(9)).await;
        for queue in [Queue::classic("a"), Queue::quorum("b"), Queue::stream("s")] {
            let name = queue.0.queue.to_string();
            wire.declare_queue(1, queue).await;
            wire.bind(1, "dlx", "", &name).await;
        }
        die(&target, &mut wire, "1").await;
        die(&target, &mut wire, "2").await;
        for queue in ["a", "b"] {
            assert_eq!(drain(&mut wire, queue, 2).await, ["1", "2"]);
        }
    }

    /// A dead letter without a route is not ready, counts against the length of its queue, and goes when a policy of the queue changes
    /// and there is a route.
    #[source = "rabbit_fifo_dlx_worker.erl: redeliver_messages"]
    async fn a_change_of_policy_tries_again(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, keeping(9)).await;
        die(&target, &mut wire, "1").await;
        die(&target, &mut wire, "2").await;
        wire.expect_ready(1, "q", 0).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "dlx", "", "end").await;
        target.set_policy("any", "^q$", json!({ "max-length": 8 }), "queues", 0).await;
        assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
    }

    /// Dead letters whose exchange is missing go to another one that a policy names.
    #[source = "rabbit_fifo_dlx_worker.erl: lookup_topology"]
    async fn a_policy_may_name_another_exchange(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "later")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "later", "", "end").await;
        let policy = |exchange: &str| json!({
            "dead-letter-exchange": exchange, "dead-letter-strategy": "at-least-once", "overflow": "reject-publish",
        });
        target.set_policy("dead", "^q$", policy("missing"), "queues", 0).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        die(&target, &mut wire, "1").await;
        wire.expect_ready(1, "q", 0).await;
        target.set_policy("dead", "^q$", policy("later"), "queues", 0).await;
        let tag = wire.consume_with(1, Consumer::new("end").no_ack()).await;
        let dead = wire.expect_delivery(1).await;
        wire.cancel(1, &tag).await;
        assert_eq!((dead.text().as_str(), dead.exchange.as_str()), ("1", "later"));
    }

    /// What is kept is lost when the queue is to keep dead letters no longer, and takes no more room.
    #[source = "rabbit_fifo_dlx.erl: switch_from"]
    async fn without_the_strategy_what_is_kept_is_lost(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        let definition = json!({
            "dead-letter-exchange": "dlx", "dead-letter-strategy": "at-least-once", "overflow": "reject-publish",
            "max-length": 1,
        });
        target.set_policy("dead", "^q$", definition, "queues", 0).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        die(&target, &mut wire, "1").await;
        die(&target, &mut wire, "2").await;
        wire.expect_ready(1, "q", 0).await;
        assert_eq!(publish(&target, Draft::to_queue("q")).await, Confirm::Nack);
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "dlx", "", "end").await;
        let definition = json!({ "dead-letter-exchange": "dlx", "overflow": "reject-publish", "max-length": 1 });
        target.set_policy("dead", "^q$", definition, "queues", 0).await;
        garenne_tests::eventually(60 * garenne_tests::SECONDS, "a publish is taken", async || {
            match publish(&target, Draft::to_queue("q").body("3")).await {
                Confirm::Ack => Ok(()),
                Confirm::Nack => Err("refused"),
            }
        })
        .await;
        let tag = wire.consume(1, "q").await;
        let delivery = wire.expect_delivery(1).await;
        wire.cancel(1, &tag).await;
        wire.reject(1, delivery.tag, false).await;
        assert_eq!(drain(&mut wire, "end", 1).await, ["3"]);
    }

    /// A dead letter that one of its queues refuses is in the others.
    async fn a_refusal_does_not_hold_up_the_other_queues(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, keeping(9)).await;
        wire.declare_queue(1, Queue::classic("full").with("x-max-length", 0).with("x-overflow", "reject-publish")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for queue in ["full", "end"] {
            wire.bind(1, "dlx", "", queue).await;
        }
        die(&target, &mut wire, "1").await;
        die(&target, &mut wire, "2").await;
        assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
        target.set_policy("any", "^q$", json!({ "max-length": 8 }), "queues", 0).await;
        die(&target, &mut wire, "3").await;
        assert_eq!(drain(&mut wire, "end", 1).await, ["3"]);
    }

    /// A message that comes round without a rejection is kept where it last died: nobody may have it, and nothing is dropped.
    #[source = "rabbit_fifo_dlx_worker.erl: forward"]
    async fn a_cycle_is_kept(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, keeping(1)).await;
        wire.bind(1, "dlx", "", "q").await;
        publish(&target, Draft::to_queue("q").expiration("1")).await;
        wire.expect_ready(1, "q", 0).await;
        publish(&target, Draft::to_queue("q").expiration("1")).await;
        wire.expect_ready(1, "q", 0).await;
        assert_eq!(publish(&target, Draft::to_queue("q")).await, Confirm::Nack);
    }

    /// A purge does not reach the dead letters that a queue keeps.
    #[source = "rabbit_fifo.erl: purge"]
    async fn a_purge_leaves_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, keeping(9)).await;
        die(&target, &mut wire, "1").await;
        wire.expect_ready(1, "q", 0).await;
        wire.purge(1, "q").await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "dlx", "", "end").await;
        target.set_policy("any", "^q$", json!({ "max-length": 8 }), "queues", 0).await;
        becomes(&mut wire, "end", 1).await;
    }
}
