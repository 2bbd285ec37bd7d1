//! What arguments, policies and changes of policies make of a queue together.

use garenne_tests::Target;
use garenne_tests::wire::{Confirm, Draft, Exchange, Queue, Wire};
use serde_json::json;

use crate::behaviours;
use crate::steps::{becomes, drain, fill, put, queues};

/// Waits until a queue refuses what is published to it, and then holds nothing.
async fn becomes_refusing(target: &Target, queue: &str) {
    garenne_tests::eventually(60 * garenne_tests::SECONDS, "a publish is refused", async || {
        let mut wire = target.channel().await;
        wire.confirm_select(1).await;
        wire.publish(1, "", queue, "refused?").await;
        let verdict = wire.expect_confirms(1, 1).await;
        wire.close().await;
        if verdict == [Confirm::Nack] { Ok(()) } else { Err(verdict) }
    })
    .await;
}

/// Publishes one message and returns its verdict.
async fn verdict(target: &Target, queue: &str) -> Confirm {
    let mut wire = target.channel().await;
    wire.confirm_select(1).await;
    wire.publish(1, "", queue, "one more").await;
    let verdicts = wire.expect_confirms(1, 1).await;
    wire.close().await;
    verdicts[0]
}

/// Declares a fanout exchange with a queue of the same name behind it.
async fn graveyard(wire: &mut Wire, name: &str) {
    wire.declare_exchange(1, Exchange::new("fanout", name)).await;
    wire.declare_queue(1, Queue::classic(name)).await;
    wire.bind(1, name, "", name).await;
}

behaviours! {
    area = "policies and arguments", source = "https://www.rabbitmq.com/docs/policies";

    /// A policy of a negative priority holds where there is no other.
    async fn a_negative_priority_is_the_last_resort(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            target.set_policy("low", &format!("^{name}$"), json!({ "max-length": 1 }), "all", -10).await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            assert_eq!(drain(&mut wire, name, 1).await, ["3"]);
            target.set_policy("high", &format!("^{name}$"), json!({ "max-length": 2 }), "all", -9).await;
            fill(&mut wire, name, 3).await;
            becomes(&mut wire, name, 2).await;
            for policy in ["low", "high"] {
                target.delete_policy(policy).await;
            }
        }
    }

    /// The overflow of a policy holds against the argument of a quorum queue, but not against that of a classic one.
    #[source = "rabbit_quorum_queue.erl: gather_policy_config"]
    async fn the_overflow_of_a_policy_is_for_quorum_queues(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("drop", "^(c|q)$", json!({ "overflow": "drop-head" }), "queues", 0).await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue.with("x-max-length", 1).with("x-overflow", "reject-publish")).await;
            // The first may make a quorum queue too long, the second not.
            for _ in 0..2 {
                verdict(&target, name).await;
            }
            let expected = if name == "q" { Confirm::Ack } else { Confirm::Nack };
            assert_eq!(verdict(&target, name).await, expected, "{name}");
        }
    }

    /// A dead-letter exchange by argument takes its key from a policy, and the other way round.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn exchange_and_key_of_dead_letters_may_come_from_both(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, Queue::classic("end")).await;
            let definition = json!({ "dead-letter-routing-key": "end", "message-ttl": 1 });
            target.set_policy("key", &format!("^{name}$"), definition, "queues", 0).await;
            wire.declare_queue(1, queue.with("x-dead-letter-exchange", "")).await;
            fill(&mut wire, name, 2).await;
            assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
            target.delete_policy("key").await;
        }
    }

    /// A shorter length by policy dead letters what is too much, the oldest first.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn a_shorter_length_dead_letters_what_is_there(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            let dead = format!("dead {name}");
            graveyard(&mut wire, &dead).await;
            wire.declare_queue(1, queue.with("x-dead-letter-exchange", dead.as_str())).await;
            fill(&mut wire, name, 5).await;
            target.set_policy("short", &format!("^{name}$"), json!({ "max-length": 2 }), "queues", 0).await;
            assert_eq!(drain(&mut wire, &dead, 3).await, ["1", "2", "3"]);
            target.set_policy("short", &format!("^{name}$"), json!({ "max-length": 1 }), "queues", 0).await;
            assert_eq!(drain(&mut wire, &dead, 1).await, ["4"]);
            target.delete_policy("short").await;
        }
    }

    /// A policy with both a length and a dead-letter exchange dead letters what the length drops at once.
    async fn a_policy_is_applied_as_a_whole(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            let dead = format!("dead {name}");
            graveyard(&mut wire, &dead).await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            let definition = json!({ "max-length": 1, "dead-letter-exchange": dead });
            target.set_policy("whole", &format!("^{name}$"), definition, "queues", 0).await;
            assert_eq!(drain(&mut wire, &dead, 2).await, ["1", "2"]);
            target.delete_policy("whole").await;
        }
    }

    /// A policy of a length with `reject-publish` on a queue that is longer: a classic queue drops its oldest messages when the length
    /// comes, before it begins to refuse; a quorum queue keeps all.
    #[source = "rabbit_amqqueue_process.erl: process_args_policy"]
    async fn a_length_that_refuses_comes_to_a_long_queue(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 5).await;
            let definition = json!({ "max-length": 2, "overflow": "reject-publish" });
            target.set_policy("refuse", &format!("^{name}$"), definition, "queues", 0).await;
            becomes_refusing(&target, name).await;
            if name == "c" {
                assert_eq!(drain(&mut wire, name, 2).await, ["4", "5"]);
            } else {
                assert!(wire.ready(1, name).await >= 5);
                assert_eq!(wire.take_one(1, name).await.text(), "1");
            }
            target.delete_policy("refuse").await;
        }
    }

    /// A queue that refuses begins to drop when its policy says so: what is too much goes at once.
    #[source = "https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"]
    async fn a_refusing_queue_becomes_a_dropping_one(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            let refuse = json!({ "max-length": 3, "overflow": "reject-publish" });
            target.set_policy("overflow", &format!("^{name}$"), refuse, "queues", 0).await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 3).await;
            let drop = json!({ "max-length": 1, "overflow": "drop-head" });
            target.set_policy("overflow", &format!("^{name}$"), drop, "queues", 0).await;
            becomes(&mut wire, name, 1).await;
            fill(&mut wire, name, 2).await;
            assert_eq!(drain(&mut wire, name, 1).await, ["2"]);
            target.delete_policy("overflow").await;
        }
    }

    /// A refusing queue whose policy goes takes publishes again without limit.
    async fn a_refusing_queue_is_freed_by_the_end_of_its_policy(target: Target) {
        for (name, queue) in queues() {
            let mut wire = target.channel().await;
            let refuse = json!({ "max-length": 1, "overflow": "reject-publish" });
            target.set_policy("overflow", &format!("^{name}$"), refuse, "queues", 0).await;
            wire.declare_queue(1, queue).await;
            becomes_refusing(&target, name).await;
            target.delete_policy("overflow").await;
            wire.purge(1, name).await;
            fill(&mut wire, name, 4).await;
            becomes(&mut wire, name, 4).await;
        }
    }

    /// A policy for `all` gives exchanges what is for exchanges and queues what is for queues.
    async fn a_policy_for_all_serves_both(target: Target) {
        let mut wire = target.channel().await;
        let definition = json!({ "alternate-exchange": "amq.fanout", "max-length": 1 });
        target.set_policy("both", "^(x|c|q)$", definition, "all", 0).await;
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            wire.bind(1, "amq.fanout", "", name).await;
        }
        put(&mut wire, ["1", "2"].map(|body| Draft::to("x", "nowhere").body(body))).await;
        for (name, _) in queues() {
            assert_eq!(drain(&mut wire, name, 1).await, ["2"]);
        }
    }

    /// An exchange's own alternate exchange holds against that of a policy, even where it does not exist.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn an_exchanges_own_alternate_holds_against_a_policy(target: Target) {
        let mut wire = target.channel().await;
        let definition = json!({ "alternate-exchange": "amq.fanout" });
        target.set_policy("ae", "^(own|amq\\.topic)$", definition, "exchanges", 0).await;
        wire.declare_exchange(1, Exchange::new("direct", "own").with("alternate-exchange", "missing")).await;
        wire.declare_queue(1, Queue::classic("c")).await;
        wire.bind(1, "amq.fanout", "", "c").await;
        put(&mut wire, [Draft::to("own", "k").body("lost"), Draft::to("amq.topic", "k").body("found")]).await;
        assert_eq!(drain(&mut wire, "c", 1).await, ["found"]);
    }

    /// A policy with a setting that a type of queue does not know leaves all queues of that type alone, and lets the next one hold.
    #[source = "rabbit_queue_type.erl: is_policy_applicable"]
    async fn an_inapplicable_policy_gives_way(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("high", "^(c|q)$", json!({ "max-length": 1, "delivery-limit": 3 }), "queues", 9).await;
        target.set_policy("low", "^(c|q)$", json!({ "max-length": 2 }), "queues", 0).await;
        for (name, queue) in queues() {
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 4).await;
        }
        becomes(&mut wire, "c", 2).await;
        becomes(&mut wire, "q", 1).await;
    }

    /// A delivery limit by policy is for messages that are there too, and of two the lower one holds, where -1 is none.
    #[source = "rabbit_quorum_queue.erl: resolve_delivery_limit"]
    async fn the_lower_delivery_limit_holds(target: Target) {
        let mut wire = target.channel().await;
        graveyard(&mut wire, "dead").await;
        for (name, argument, policy) in [("a", 5, 1), ("b", 1, 5), ("c", -1, 1), ("d", 1, -1)] {
            let queue = Queue::quorum(name).with("x-dead-letter-exchange", "dead").with("x-delivery-limit", argument);
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 1).await;
            target.set_policy(name, &format!("^{name}$"), json!({ "delivery-limit": policy }), "queues", 0).await;
            let tag = wire.consume(1, name).await;
            for _ in 0..2 {
                let delivery = wire.expect_delivery(1).await;
                wire.reject(1, delivery.tag, true).await;
            }
            assert_eq!(drain(&mut wire, "dead", 1).await, ["1"], "{name}");
            wire.cancel(1, &tag).await;
        }
    }
}
