//! Queues that delete themselves: when, and what stays behind.

use garenne_tests::wire::{Confirm, Consumer, Draft, Exchange, Queue, Wire, basic, queue};
use garenne_tests::{SECONDS, eventually};
use serde_json::json;

use crate::behaviours;
use crate::steps::{becomes, drain, put};

/// Tells whether a queue is there.
async fn exists(wire: &mut Wire, name: &str) -> bool {
    let found = wire.try_call(1, Queue::passive(name)).await;
    if found.is_err() {
        wire.open_channel(1).await;
    }
    found.is_ok()
}

/// Waits until a queue is gone.
async fn gone(wire: &mut Wire, name: &str) {
    eventually(60 * SECONDS, &format!("{name} is gone"), async || {
        if exists(wire, name).await { Err("it is there") } else { Ok(()) }
    })
    .await;
}

behaviours! {
    area = "queues that delete themselves", source = "https://www.rabbitmq.com/docs/queues#temporary-queues";

    /// `basic.get` is no consumer: an auto-delete queue outlives it, its channel and the emptiness.
    async fn a_get_does_not_end_an_auto_delete_queue(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
        put(&mut wire, [Draft::to_queue("q")]).await;
        wire.open_channel(2).await;
        wire.get(2, "q").await.expect("it is there");
        wire.close_channel(2).await;
        becomes(&mut wire, "q", 1).await;
        wire.purge(1, "q").await;
        assert!(exists(&mut wire, "q").await);
    }

    /// An auto-delete queue goes with the messages that it has and those that are out; settling these later is no error.
    async fn deliveries_of_a_queue_that_is_gone_may_be_settled(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
        put(&mut wire, ["1", "2", "3"].map(|body| Draft::to_queue("q").body(body))).await;
        wire.open_channel(2).await;
        wire.qos(2, 2).await;
        let tag = wire.consume(2, "q").await;
        let taken = wire.expect_deliveries(2, 2).await;
        wire.cancel(2, &tag).await;
        gone(&mut wire, "q").await;
        wire.ack(2, taken[0].tag).await;
        wire.nack(2, taken[1].tag, true).await;
        wire.expect_nothing(2).await;
        wire.declare_queue(2, Queue::classic("q").auto_delete()).await;
        assert_eq!(wire.ready(2, "q").await, 0);
    }

    /// A queue declared anew under the name of one that deleted itself has none of its bindings.
    async fn a_queue_declared_anew_has_no_bindings(target: Target) {
        let mut wire = target.channel().await;
        for _ in 0..2 {
            wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
            put(&mut wire, [Draft::to("amq.fanout", "")]).await;
            assert_eq!(wire.ready(1, "q").await, 0);
            wire.bind(1, "amq.fanout", "", "q").await;
            let tag = wire.consume(1, "q").await;
            wire.cancel(1, &tag).await;
            gone(&mut wire, "q").await;
        }
    }

    /// A cancel that is not answered ends an auto-delete queue too.
    async fn a_cancel_without_waiting_ends_the_queue(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
        let tag = wire.consume(1, "q").await;
        wire.send(1, basic::Cancel { consumer_tag: tag.as_str().into(), nowait: true }).await;
        gone(&mut wire, "q").await;
    }

    /// Consumers on several connections: the queue goes with the last of them, even if that is cut.
    async fn the_last_connection_ends_the_queue(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("q").auto_delete()).await;
        let (mut one, mut two) = (target.channel().await, target.channel().await);
        one.consume(1, "q").await;
        two.consume(1, "q").await;
        one.close().await;
        assert!(exists(&mut wire, "q").await);
        two.cut();
        gone(&mut wire, "q").await;
    }

    /// A dead-letter queue that deletes itself takes the rest with it: later dead letters are dropped.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn a_dead_letter_queue_may_delete_itself(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx").auto_delete()).await;
        wire.declare_queue(1, Queue::classic("end").auto_delete()).await;
        wire.bind(1, "dlx", "", "end").await;
        for (name, kind) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            wire.declare_queue(1, kind.with("x-dead-letter-exchange", "dlx").with("x-max-length", 1)).await;
            put(&mut wire, ["1", "2"].map(|body| Draft::to_queue(name).body(body))).await;
        }
        wire.open_channel(2).await;
        let tag = wire.consume_with(2, Consumer::new("end").no_ack()).await;
        wire.expect_deliveries(2, 2).await;
        wire.cancel(2, &tag).await;
        gone(&mut wire, "end").await;
        for name in ["c", "q"] {
            put(&mut wire, ["3"].map(|body| Draft::to_queue(name).body(body))).await;
            assert_eq!(drain(&mut wire, name, 1).await, ["3"]);
        }
        let closed = wire.refused(1, Exchange::passive("dlx")).await;
        assert_eq!(closed.code, 404);
    }

    /// A policy is for queues that are exclusive, that delete themselves or that the broker names, as for all.
    #[source = "https://www.rabbitmq.com/docs/policies"]
    async fn a_policy_is_for_queues_of_every_life(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("short", ".*", json!({ "max-length": 1 }), "all", 0).await;
        let named = wire.declare_queue(1, Queue::plain("").exclusive()).await.queue.to_string();
        wire.declare_queue(1, Queue::classic("x").exclusive()).await;
        wire.declare_queue(1, Queue::classic("a").auto_delete()).await;
        for name in [named.as_str(), "x", "a"] {
            put(&mut wire, ["1", "2"].map(|body| Draft::to_queue(name).body(body))).await;
            assert_eq!(drain(&mut wire, name, 1).await, ["2"]);
        }
    }

    /// A quorum queue takes the argument `reject-publish-dlx` and drops its oldest message all the same, to its dead-letter exchange.
    #[source = "rabbit_quorum_queue.erl: overflow"]
    async fn a_quorum_queue_drops_where_it_is_to_refuse_and_dead_letter(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        let queue = Queue::quorum("q").with("x-overflow", "reject-publish-dlx").with("x-max-length", 1);
        wire.declare_queue(1, queue.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "end")).await;
        wire.confirm_select(1).await;
        for body in ["1", "2"] {
            wire.publish(1, "", "q", body).await;
        }
        assert_eq!(wire.expect_confirms(1, 2).await, [Confirm::Ack, Confirm::Ack]);
        assert_eq!(drain(&mut wire, "end", 1).await, ["1"]);
    }

    /// A queue that is deleted while it is to dead letter leaves no trace: declared anew it is empty, and its dead-letter queue has what
    /// died before.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn what_died_before_its_queue_went_arrives(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for (name, kind) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            let kind = kind.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "end");
            wire.declare_queue(1, kind.clone()).await;
            put(&mut wire, ["1", "2"].map(|body| Draft::to_queue(name).body(body))).await;
            let got = wire.get(1, name).await.expect("it is there");
            wire.reject(1, got.tag, false).await;
            becomes(&mut wire, "end", 1).await;
            let deleted = wire.call(1, queue::Delete { queue: name.into(), ..queue::Delete::default() }).await;
            assert_eq!(deleted.message_count, 1);
            wire.declare_queue(1, kind).await;
            assert_eq!(wire.ready(1, name).await, 0);
            assert_eq!(drain(&mut wire, "end", 1).await, ["1"]);
        }
    }
}
