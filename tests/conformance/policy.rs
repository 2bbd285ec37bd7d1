//! Policies: arguments that an operator gives to queues and exchanges that exist.

use garenne_tests::wire::{Confirm, Draft, Exchange, Queue, Wire};
use garenne_tests::{SECONDS, eventually};
use serde_json::json;

use crate::behaviours;

/// Waits until so many messages are ready in a queue.
async fn becomes(wire: &mut Wire, queue: &str, ready: u32) {
    eventually(60 * SECONDS, &format!("{queue} has {ready} ready messages"), async || {
        match wire.ready(1, queue).await {
            found if found == ready => Ok(()),
            found => Err(found),
        }
    })
    .await;
}

/// Publishes so many messages to a queue, with their numbers as bodies.
async fn fill(wire: &mut Wire, queue: &str, count: u64) {
    wire.confirm_select(1).await;
    for number in 1..=count {
        wire.publish(1, "", queue, &number.to_string()).await;
    }
    wire.expect_confirms(1, count).await;
}

behaviours! {
    area = "policies", source = "https://www.rabbitmq.com/docs/policies";

    /// A policy of a maximal length drops what is too much in a queue that exists, from its head.
    async fn a_maximal_length_is_applied_to_what_is_there(target: Target) {
        for (name, queue) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            fill(&mut wire, name, 5).await;
            target.set_policy("p", &format!("^{name}$"), json!({ "max-length": 2 }), "queues", 0).await;
            becomes(&mut wire, name, 2).await;
            assert_eq!(wire.take_one(1, name).await.text(), "4");
        }
    }

    /// A policy that is deleted limits no longer.
    async fn a_deleted_policy_limits_no_longer(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("p", "^q$", json!({ "max-length": 1 }), "queues", 0).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for _ in 0..3 {
            number += 1;
            wire.publish_confirmed(1, number, Draft::to_queue("q")).await;
        }
        assert_eq!(wire.ready(1, "q").await, 1);
        target.delete_policy("p").await;
        eventually(60 * SECONDS, "the queue holds more than one", async || {
            number += 1;
            wire.publish_confirmed(1, number, Draft::to_queue("q")).await;
            match wire.ready(1, "q").await {
                0 | 1 => Err(()),
                _ => Ok(()),
            }
        })
        .await;
    }

    /// Of several policies that match a queue the one of the highest priority alone holds.
    async fn the_highest_priority_wins(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("low", ".*", json!({ "max-length": 1, "message-ttl": 1 }), "queues", 1).await;
        target.set_policy("high", "^q$", json!({ "max-length": 3 }), "queues", 2).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.declare_queue(1, Queue::quorum("other").with("x-message-ttl", 60_000)).await;
        fill(&mut wire, "q", 5).await;
        becomes(&mut wire, "q", 3).await;
    }

    /// Where a policy and an argument both limit a queue by a number, the lower one holds.
    async fn the_lower_number_of_policy_and_argument_holds(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("p", ".*", json!({ "max-length": 3 }), "queues", 0).await;
        wire.declare_queue(1, Queue::quorum("five").with("x-max-length", 5)).await;
        wire.declare_queue(1, Queue::quorum("two").with("x-max-length", 2)).await;
        fill(&mut wire, "five", 6).await;
        becomes(&mut wire, "five", 3).await;
        wire.open_channel(2).await;
        wire.confirm_select(2).await;
        for _ in 0..6 {
            wire.publish(2, "", "two", "hello").await;
        }
        wire.expect_confirms(2, 6).await;
        becomes(&mut wire, "two", 2).await;
    }

    /// A policy of a time to live is for what is published from then on: what is there does not expire by it.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn a_time_to_live_is_for_messages_to_come(target: Target) {
        for kind in ["classic", "quorum"] {
            let mut wire = target.channel().await;
            let (old, new) = (format!("{kind}-old"), format!("{kind}-new"));
            wire.declare_queue(1, Queue::plain(&old).with("x-queue-type", kind)).await;
            wire.declare_queue(1, Queue::plain(&new).with("x-queue-type", kind)).await;
            fill(&mut wire, &old, 1).await;
            target.set_policy("p", kind, json!({ "message-ttl": 1 }), "queues", 0).await;
            let mut number = 1;
            eventually(60 * SECONDS, "a message expires", async || {
                if number > 1 && wire.ready(1, &new).await == 0 {
                    return Ok(());
                }
                wire.purge(1, &new).await;
                number += 1;
                wire.publish_confirmed(1, number, Draft::to_queue(&new)).await;
                Err(())
            })
            .await;
            assert_eq!(wire.take_one(1, &old).await.text(), "1", "{kind}");
        }
    }

    /// A policy of dead-lettering counts from when it is set, for messages that are there too.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn a_dead_letter_policy_reaches_messages_that_are_there(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.declare_queue(1, Queue::quorum("dead")).await;
        fill(&mut wire, "q", 20).await;
        let definition = json!({ "dead-letter-exchange": "", "dead-letter-routing-key": "dead" });
        target.set_policy("p", "^q$", definition, "queues", 0).await;
        eventually(60 * SECONDS, "a rejected message is dead-lettered", async || {
            let got = wire.get(1, "q").await.expect("one of twenty");
            wire.reject(1, got.tag, false).await;
            for _ in 0..5 {
                if wire.ready(1, "dead").await > 0 {
                    return Ok(());
                }
            }
            Err(())
        })
        .await;
        assert_eq!(wire.take_one(1, "dead").await.headers().text("x-first-death-reason").as_deref(), Some("rejected"));
    }

    /// A policy of expiry deletes a queue that nobody uses.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn an_expiry_policy_deletes_unused_queues(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("c")).await;
        target.set_policy("p", "^c$", json!({ "expires": 50 }), "queues", 0).await;
        eventually(60 * SECONDS, "the queue is gone", async || {
            wire.confirm_select(1).await;
            wire.publish_draft(1, Draft::to_queue("c").mandatory()).await;
            // Either the return of an unroutable message, or its confirm.
            let event = wire.next(1).await;
            if matches!(event, garenne_tests::wire::Event::Content(_)) { Ok(()) } else { Err(event) }
        })
        .await;
    }

    /// A policy makes an exchange that is there send what it cannot route to an alternate exchange, until it is deleted.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn an_alternate_exchange_by_policy(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.bind(1, "amq.fanout", "", "q").await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for there in [true, false] {
            if there {
                target.set_policy("p", "^x$", json!({ "alternate-exchange": "amq.fanout" }), "exchanges", 0).await;
            } else {
                target.delete_policy("p").await;
            }
            eventually(60 * SECONDS, "the alternate exchange follows the policy", async || {
                number += 1;
                wire.publish(1, "x", "nobody", "hello").await;
                assert_eq!(wire.expect_confirms_from(1, number, 1).await, [Confirm::Ack]);
                if (wire.purge(1, "q").await == 1) == there { Ok(()) } else { Err(()) }
            })
            .await;
        }
    }

    /// A policy for quorum queues leaves classic queues alone, and the other way round.
    async fn a_policy_may_be_for_one_type_of_queue(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("p", ".*", json!({ "max-length": 1 }), "quorum_queues", 0).await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        wire.declare_queue(1, Queue::classic("c")).await;
        wire.confirm_select(1).await;
        for queue in ["q", "c", "q", "c"] {
            wire.publish(1, "", queue, "hello").await;
        }
        wire.expect_confirms(1, 4).await;
        becomes(&mut wire, "q", 1).await;
        assert_eq!(wire.ready(1, "c").await, 2);
    }

    /// A policy's pattern matches anywhere in a name, unless it has anchors.
    async fn a_policy_pattern_is_not_anchored(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("p", "mid", json!({ "max-length": 1 }), "queues", 0).await;
        wire.declare_queue(1, Queue::quorum("a-mid-b")).await;
        fill(&mut wire, "a-mid-b", 3).await;
        becomes(&mut wire, "a-mid-b", 1).await;
    }

    /// A policy that is set again under its name replaces the one before.
    async fn a_policy_set_again_replaces_itself(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::quorum("q")).await;
        target.set_policy("p", "^q$", json!({ "max-length": 100 }), "queues", 0).await;
        fill(&mut wire, "q", 5).await;
        target.set_policy("p", "^q$", json!({ "max-length": 2 }), "queues", 0).await;
        becomes(&mut wire, "q", 2).await;
    }

    /// A policy of the overflow `reject-publish` has a full queue refuse what is published.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn an_overflow_policy_refuses_publishes(target: Target) {
        for (name, queue) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            let mut wire = target.channel().await;
            wire.declare_queue(1, queue).await;
            let definition = json!({ "max-length": 1, "overflow": "reject-publish" });
            target.set_policy("p", &format!("^{name}$"), definition, "queues", 0).await;
            wire.confirm_select(1).await;
            let mut number = 0;
            eventually(60 * SECONDS, "a publish is refused", async || {
                number += 1;
                wire.publish(1, "", name, "hello").await;
                match wire.expect_confirms_from(1, number, 1).await[0] {
                    Confirm::Nack => Ok(()),
                    Confirm::Ack => Err(number),
                }
            })
            .await;
        }
    }

    /// An argument of a queue other than a number holds against a policy.
    async fn an_argument_holds_against_a_policy(target: Target) {
        let mut wire = target.channel().await;
        target.set_policy("p", "^q$", json!({ "dead-letter-exchange": "amq.fanout" }), "queues", 0).await;
        let queue = Queue::quorum("q").with("x-dead-letter-exchange", "amq.direct");
        wire.declare_queue(1, queue.with("x-dead-letter-routing-key", "k")).await;
        for (exchange, name) in [("amq.direct", "by-argument"), ("amq.fanout", "by-policy")] {
            wire.declare_queue(1, Queue::quorum(name)).await;
            wire.bind(1, exchange, "k", name).await;
        }
        wire.confirm_select(1).await;
        wire.publish_confirmed(1, 1, Draft::to_queue("q")).await;
        let got = wire.get(1, "q").await.expect("the message");
        wire.reject(1, got.tag, false).await;
        becomes(&mut wire, "by-argument", 1).await;
        assert_eq!(wire.ready(1, "by-policy").await, 0);
    }
}
