//! Where dead letters go: every kind of exchange, several hops, queues that are full.

use garenne_tests::table;
use garenne_tests::wire::{Binding, Consumer, Draft, Exchange, Queue, Table, Wire, basic};

use crate::behaviours;
use crate::dying::{refuse, take};
use crate::steps::{KINDS, becomes, drain, put};

/// Returns a queue of a type, named for it, whose dead letters go to the exchange `dlx`.
fn source(kind: &str) -> Queue {
    Queue::plain(kind).with("x-queue-type", kind).with("x-dead-letter-exchange", "dlx")
}

/// Publishes a message to a queue, waits for it and refuses it.
async fn die(wire: &mut Wire, draft: Draft) {
    let queue = draft.publish.routing_key.to_string();
    wire.publish_draft(1, draft).await;
    refuse(wire, &queue).await;
}

/// Returns reason, queue and count of each death, the newest first.
fn deaths(headers: &Table) -> Vec<Table> {
    let deaths = headers.tables("x-death").into_iter();
    deaths.map(|death| death.without("time").without("routing-keys").without("exchange")).collect()
}

fn death(count: i64, reason: &str, queue: &str) -> Table {
    table! { "count" => count, "reason" => reason, "queue" => queue }
}

behaviours! {
    area = "routing of dead letters", source = "https://www.rabbitmq.com/docs/dlx#routing";

    /// A topic exchange takes dead letters by their keys, those of `CC` too.
    async fn a_topic_exchange_takes_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("topic", "dlx")).await;
        wire.declare_queue(1, Queue::classic("all")).await;
        wire.declare_queue(1, Queue::classic("some")).await;
        wire.bind(1, "dlx", "#", "all").await;
        wire.bind(1, "dlx", "error.*", "some").await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind).body("plain")).await;
            die(&mut wire, Draft::to_queue(kind).header("CC", vec!["error.disk"]).body("copied")).await;
            assert_eq!(take(&mut wire, "some").await.text(), "copied");
            assert_eq!(drain(&mut wire, "all", 2).await, ["plain", "copied"]);
        }
    }

    /// A headers exchange compares the headers that a message was published with, and for `all-with-x` those of its first and last
    /// death.
    #[source = "mc.erl: routing_headers"]
    async fn a_headers_exchange_sees_how_a_message_died(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("headers", "dlx")).await;
        let cases = [
            ("own", table! { "colour" => "red" }),
            ("reason", table! { "x-match" => "all-with-x", "x-last-death-reason" => "rejected" }),
            ("first", table! { "x-match" => "any-with-x", "x-first-death-queue" => "classic" }),
            ("hidden", table! { "x-match" => "all", "x-last-death-reason" => "maxlen", "colour" => "red" }),
        ];
        for (queue, arguments) in &cases {
            wire.declare_queue(1, Queue::classic(queue)).await;
            wire.bind_with(1, Binding::new("dlx", "", queue).arguments(arguments.clone())).await;
        }
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind).header("colour", "red").body(kind)).await;
        }
        for (queue, found) in [("own", 2), ("reason", 2), ("first", 1), ("hidden", 2)] {
            becomes(&mut wire, queue, found).await;
        }
    }

    /// A headers exchange does not see `x-death` of a message that dies for the first time.
    #[source = "mc.erl: routing_headers"]
    async fn a_headers_exchange_does_not_see_the_history(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("headers", "dlx")).await;
        let void = garenne_tests::wire::AMQPValue::Void;
        let told = table! { "x-match" => "any-with-x", "x-death" => void };
        wire.declare_queue(1, Queue::classic("told")).await;
        wire.bind_with(1, Binding::new("dlx", "", "told").arguments(told)).await;
        wire.declare_queue(1, Queue::classic("all")).await;
        wire.bind(1, "dlx", "", "all").await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind)).await;
            take(&mut wire, "all").await;
            assert_eq!(wire.ready(1, "told").await, 0);
        }
    }

    /// A hashing exchange sends a dead letter where it sends a publish of the same key.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn a_hashing_exchange_takes_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        for hash in ["x-consistent-hash", "x-modulus-hash"] {
            wire.declare_exchange(1, Exchange::new(hash, "dlx")).await;
            let ends = [1, 2, 3].map(|number| format!("{hash} {number}"));
            for end in &ends {
                wire.declare_queue(1, Queue::classic(end)).await;
                wire.bind(1, "dlx", "1", end).await;
            }
            for kind in KINDS {
                wire.declare_queue(1, source(kind)).await;
                put(&mut wire, [Draft::to("dlx", kind)]).await;
                die(&mut wire, Draft::to_queue(kind)).await;
                let mut found = [0; 3];
                garenne_tests::eventually(60 * garenne_tests::SECONDS, "both are there", async || {
                    for (found, end) in found.iter_mut().zip(&ends) {
                        *found = wire.ready(1, end).await;
                    }
                    if found.contains(&2) { Ok(()) } else { Err(found) }
                })
                .await;
                for end in &ends {
                    wire.purge(1, end).await;
                }
            }
            wire.delete_exchange(1, "dlx").await;
        }
    }

    /// What a dead-letter exchange cannot route goes to its alternate exchange, and is told to come from the first one.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn an_alternate_exchange_takes_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "ae").internal()).await;
        wire.declare_exchange(1, Exchange::new("direct", "dlx").with("alternate-exchange", "ae")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "ae", "", "end").await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind)).await;
            let dead = take(&mut wire, "end").await;
            assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str()), ("dlx", kind));
        }
    }

    /// An internal exchange, which nobody may publish to, takes dead letters and passes them on to the exchanges bound to it.
    #[source = "https://www.rabbitmq.com/docs/e2e"]
    async fn an_internal_exchange_takes_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("topic", "dlx").internal()).await;
        wire.declare_exchange(1, Exchange::new("fanout", "next").auto_delete()).await;
        wire.declare_queue(1, Queue::quorum("end")).await;
        wire.bind_exchange(1, "dlx", "*", "next").await;
        wire.bind(1, "next", "", "end").await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind).body(kind)).await;
            assert_eq!(drain(&mut wire, "end", 1).await, [kind]);
        }
    }

    /// With the default exchange and no key a refused message comes back to its own queue, behind the others.
    async fn the_default_exchange_brings_a_refused_message_back(target: Target) {
        let mut wire = target.channel().await;
        wire.qos(1, 1).await;
        for kind in KINDS {
            wire.declare_queue(1, Queue::plain(kind).with("x-queue-type", kind).with("x-dead-letter-exchange", "")).await;
            put(&mut wire, ["1", "2"].map(|body| Draft::to_queue(kind).body(body))).await;
            assert_eq!(refuse(&mut wire, kind).await.text(), "1");
            becomes(&mut wire, kind, 2).await;
            assert_eq!(wire.take_one(1, kind).await.text(), "2");
            let back = wire.take_one(1, kind).await;
            assert_eq!((back.text().as_str(), back.redelivered), ("1", true));
            assert_eq!(deaths(&back.headers()), [death(1, "rejected", kind)]);
        }
    }

    /// A classic queue that passes a dead letter on to a waiting consumer at once does not say that it failed before; a quorum queue does.
    #[source = "rabbit_variable_queue.erl: set_deliver_flag"]
    async fn a_dead_letter_for_a_waiting_consumer(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.open_channel(2).await;
        for (end, queue) in [("c", Queue::classic("c")), ("q", Queue::quorum("q"))] {
            wire.declare_queue(2, queue).await;
            wire.bind(2, "dlx", "", end).await;
            wire.consume_with(2, Consumer::new(end).no_ack()).await;
            for kind in KINDS {
                wire.declare_queue(1, source(kind)).await;
                die(&mut wire, Draft::to_queue(kind)).await;
                assert_eq!(wire.expect_delivery(2).await.redelivered, end == "q", "{kind} to {end}");
            }
            wire.delete_queue(2, end).await;
        }
    }

    /// What a full queue drops does not come back to it by its own dead-letter exchange.
    #[source = "rabbit_dead_letter.erl: detect_cycles"]
    async fn a_full_queue_does_not_dead_letter_to_itself(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "dlx", "", "end").await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind).with("x-max-length", 1)).await;
            wire.bind(1, "dlx", "", kind).await;
            put(&mut wire, ["1", "2", "3"].map(|body| Draft::to_queue(kind).body(body))).await;
            assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
            assert_eq!(drain(&mut wire, kind, 1).await, ["3"]);
            wire.unbind(1, "dlx", "", kind).await;
        }
    }

    /// A message over its delivery limit does not come back to its queue by the dead-letter exchange.
    #[source = "rabbit_dead_letter.erl: detect_cycles"]
    async fn a_poison_message_does_not_come_back(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.bind(1, "dlx", "", "end").await;
        wire.declare_queue(1, source("quorum").with("x-delivery-limit", 0)).await;
        wire.bind(1, "dlx", "", "quorum").await;
        put(&mut wire, [Draft::to_queue("quorum").body("poison")]).await;
        wire.consume(1, "quorum").await;
        let delivery = wire.expect_delivery(1).await;
        wire.reject(1, delivery.tag, true).await;
        assert_eq!(drain(&mut wire, "end", 1).await, ["poison"]);
        wire.publish(1, "", "quorum", "marker").await;
        assert_eq!(wire.expect_delivery(1).await.text(), "marker");
    }

    /// Dead letters go into a stream too, with their history.
    #[source = "https://www.rabbitmq.com/docs/streams"]
    async fn a_stream_takes_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, Queue::stream("s")).await;
        wire.bind(1, "dlx", "", "s").await;
        wire.open_channel(2).await;
        wire.qos(2, 10).await;
        wire.consume_with(2, Consumer::new("s").with("x-stream-offset", "first")).await;
        for (offset, kind) in (0_i64..).zip(KINDS) {
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind).header("k", "v").body(kind)).await;
            let dead = wire.expect_delivery(2).await;
            let headers = dead.headers();
            assert_eq!((dead.text().as_str(), dead.exchange.as_str(), dead.routing_key.as_str()), (kind, "dlx", kind));
            assert_eq!(deaths(&headers), [death(1, "rejected", kind)]);
            assert_eq!(headers.text("k").as_deref(), Some("v"));
            assert_eq!(headers.get("x-stream-offset"), table! { "k" => offset }.get("k"));
        }
    }

    /// A dead-letter queue that is full and refuses, a classic one, does not get the dead letter, which is lost.
    #[source = "https://www.rabbitmq.com/docs/dlx#safety"]
    async fn a_full_classic_queue_loses_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, Queue::classic("full").with("x-max-length", 1).with("x-overflow", "reject-publish")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for queue in ["full", "end"] {
            wire.bind(1, "dlx", "", queue).await;
        }
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            for body in ["1", "2"] {
                die(&mut wire, Draft::to_queue(kind).body(body)).await;
            }
            assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
            assert_eq!(drain(&mut wire, "full", 1).await, ["1"]);
            wire.expect_ready(1, kind, 0).await;
        }
    }

    /// A quorum queue takes dead letters beyond its length even where it refuses publishes: nobody could be told.
    #[source = "rabbit_quorum_queue.erl: deliver"]
    async fn a_full_quorum_queue_takes_dead_letters(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "dlx")).await;
        wire.declare_queue(1, Queue::quorum("full").with("x-max-length", 1).with("x-overflow", "reject-publish")).await;
        wire.bind(1, "dlx", "", "full").await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            for body in ["1", "2", "3", "4"] {
                die(&mut wire, Draft::to_queue(kind).body(body)).await;
            }
            assert_eq!(drain(&mut wire, "full", 4).await, ["1", "2", "3", "4"]);
        }
    }

    /// A dead letter that a full classic queue refuses goes on to that queue's dead-letter exchange with `reject-publish-dlx`.
    #[source = "rabbit_amqqueue_process.erl: maybe_deliver_or_enqueue"]
    async fn a_refused_dead_letter_dies_again_on_request(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "dlx")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            let full = format!("{kind} full");
            let queue = Queue::classic(&full).with("x-max-length", 0).with("x-overflow", "reject-publish-dlx");
            wire.declare_queue(1, queue.with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "end")).await;
            wire.bind(1, "dlx", kind, &full).await;
            wire.declare_queue(1, source(kind)).await;
            die(&mut wire, Draft::to_queue(kind)).await;
            let dead = take(&mut wire, "end").await;
            assert_eq!(deaths(&dead.headers()), [death(1, "maxlen", &full), death(1, "rejected", kind)]);
            assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str()), ("", "end"));
        }
    }

    /// Refusing deliveries of several queues at once dead letters those of each queue in their order.
    async fn a_multiple_nack_over_queues_dead_letters_all(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "dlx")).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind)).await;
            let end = format!("{kind} end");
            wire.declare_queue(1, Queue::classic(&end)).await;
            wire.bind(1, "dlx", kind, &end).await;
            wire.consume(1, kind).await;
        }
        let mut last = 0;
        for body in ["1", "2", "3"] {
            for kind in KINDS {
                wire.publish(1, "", kind, body).await;
                last = wire.expect_delivery(1).await.tag;
            }
        }
        wire.send(1, basic::Nack { delivery_tag: last, multiple: true, requeue: false }).await;
        for kind in KINDS {
            assert_eq!(drain(&mut wire, &format!("{kind} end"), 3).await, ["1", "2", "3"]);
        }
    }
}
