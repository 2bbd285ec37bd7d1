//! Exchanges that lead to exchanges: bindings, alternate exchanges, and those that delete themselves.

use garenne_tests::table;
use garenne_tests::wire::{Binding, Draft, Exchange, Queue, Wire, exchange, queue};
use serde_json::json;

use crate::behaviours;
use crate::steps::{becomes, drain, put};

/// Tells whether an exchange is there.
async fn exists(wire: &mut Wire, name: &str) -> bool {
    let found = wire.try_call(1, Exchange::passive(name)).await;
    if found.is_err() {
        wire.open_channel(1).await;
    }
    found.is_ok()
}

/// Declares a classic queue and binds it.
async fn bound(wire: &mut Wire, exchange: &str, key: &str, queue: &str) {
    wire.declare_queue(1, Queue::classic(queue)).await;
    wire.bind(1, exchange, key, queue).await;
}

behaviours! {
    area = "exchanges and exchanges", source = "https://www.rabbitmq.com/docs/e2e";

    /// Each exchange on the way compares the key and the headers of the message with its own bindings.
    async fn each_exchange_on_the_way_compares(target: Target) {
        let mut wire = target.channel().await;
        for (kind, name) in [("topic", "t"), ("headers", "h"), ("direct", "d")] {
            wire.declare_exchange(1, Exchange::new(kind, name)).await;
        }
        wire.bind_exchange(1, "t", "a.#", "h").await;
        let by_headers = Binding::new("h", "", "d").arguments(table! { "x-match" => "any", "k" => 1, "l" => 2 });
        wire.call(1, by_headers.exchange()).await;
        bound(&mut wire, "d", "a.b", "end").await;
        put(&mut wire, [
            Draft::to("t", "a.b").header("k", 1).body("through"),
            Draft::to("t", "a.b").body("no header"),
            Draft::to("t", "b.a").header("k", 1).body("no topic"),
            Draft::to("t", "a.c").header("l", 2).body("no key"),
        ]).await;
        assert_eq!(drain(&mut wire, "end", 1).await, ["through"]);
    }

    /// The keys of `CC` and `BCC` count at every exchange on the way.
    #[source = "https://www.rabbitmq.com/docs/sender-selected"]
    async fn further_keys_count_on_the_way(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        wire.declare_exchange(1, Exchange::new("topic", "y")).await;
        wire.bind_exchange(1, "x", "main", "y").await;
        bound(&mut wire, "y", "copy.*", "end").await;
        put(&mut wire, [
            Draft::to("x", "main").header("BCC", vec!["copy.1"]).body("1"),
            Draft::to("x", "copy.1").header("CC", vec!["main"]).body("2"),
        ]).await;
        assert_eq!(drain(&mut wire, "end", 2).await, ["1", "2"]);
    }

    /// A message that comes to a queue by several exchanges comes once.
    async fn many_ways_bring_one_copy(target: Target) {
        let mut wire = target.channel().await;
        for name in ["x", "y", "z"] {
            wire.declare_exchange(1, Exchange::new("fanout", name)).await;
            bound(&mut wire, name, "", "end").await;
        }
        for (source, destination) in [("x", "y"), ("x", "z"), ("y", "z"), ("z", "x")] {
            wire.bind_exchange(1, source, "", destination).await;
        }
        for exchange in ["x", "y", "z"] {
            put(&mut wire, [Draft::to(exchange, "k").body(exchange)]).await;
            assert_eq!(drain(&mut wire, "end", 1).await, [exchange]);
        }
    }

    /// An exchange that passes a message on to an exchange has routed it: its own alternate exchange does not get it, but that of the
    /// other one does.
    #[source = "rabbit_exchange.erl: process_alternate"]
    async fn an_alternate_exchange_is_for_its_own_exchange(target: Target) {
        let mut wire = target.channel().await;
        for ae in ["ae x", "ae y"] {
            wire.declare_exchange(1, Exchange::new("fanout", ae)).await;
            bound(&mut wire, ae, "", ae).await;
        }
        for (name, ae) in [("x", "ae x"), ("y", "ae y")] {
            wire.declare_exchange(1, Exchange::new("direct", name).with("alternate-exchange", ae)).await;
        }
        wire.bind_exchange(1, "x", "k", "y").await;
        put(&mut wire, [Draft::to("x", "k").body("passed on"), Draft::to("x", "other").body("not routed")]).await;
        assert_eq!(drain(&mut wire, "ae y", 1).await, ["passed on"]);
        assert_eq!(drain(&mut wire, "ae x", 1).await, ["not routed"]);
    }

    /// Alternate exchanges in a circle do no harm: a message that none of them takes is unroutable.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn alternate_exchanges_in_a_circle(target: Target) {
        let mut wire = target.channel().await;
        for (name, ae) in [("x", "y"), ("y", "z"), ("z", "x"), ("self", "self")] {
            wire.declare_exchange(1, Exchange::new("direct", name).with("alternate-exchange", ae)).await;
        }
        for name in ["x", "self"] {
            wire.publish_draft(1, Draft::to(name, "k").mandatory().body(name)).await;
            let back = wire.expect_return(1).await;
            assert_eq!((back.code, back.exchange.as_str(), back.text.as_str()), (312, name, "NO_ROUTE"));
        }
        bound(&mut wire, "z", "k", "end").await;
        put(&mut wire, [Draft::to("x", "k").mandatory().body("found")]).await;
        assert_eq!(drain(&mut wire, "end", 1).await, ["found"]);
    }

    /// The default exchange as an alternate exchange takes nothing: it has no bindings to look through.
    #[source = "rabbit_exchange.erl: route1"]
    async fn the_default_exchange_is_no_alternate(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x").with("alternate-exchange", "")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        wire.publish_draft(1, Draft::to("x", "end").mandatory()).await;
        assert_eq!(wire.expect_return(1).await.code, 312);
        assert_eq!(wire.ready(1, "end").await, 0);
    }

    /// An alternate exchange may be declared, deleted and declared anew after the exchange that names it.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn an_alternate_exchange_may_come_and_go(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x").with("alternate-exchange", "ae")).await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for (kind, key) in [("fanout", ""), ("direct", "k"), ("topic", "*")] {
            wire.publish_draft(1, Draft::to("x", "k").mandatory()).await;
            wire.expect_return(1).await;
            wire.declare_exchange(1, Exchange::new(kind, "ae")).await;
            wire.bind(1, "ae", key, "end").await;
            put(&mut wire, [Draft::to("x", "k").mandatory().body(kind)]).await;
            assert_eq!(drain(&mut wire, "end", 1).await, [kind]);
            wire.delete_exchange(1, "ae").await;
        }
    }

    /// A policy may change the alternate exchange while messages flow, of the predeclared exchanges too.
    #[source = "https://www.rabbitmq.com/docs/ae"]
    async fn a_policy_changes_the_alternate_exchange(target: Target) {
        let mut wire = target.channel().await;
        for ae in ["one", "two"] {
            wire.declare_exchange(1, Exchange::new("fanout", ae)).await;
            bound(&mut wire, ae, "", ae).await;
        }
        for ae in ["one", "two", "one"] {
            target.set_policy("ae", "^amq\\.(topic|headers)$", json!({ "alternate-exchange": ae }), "exchanges", 0).await;
            garenne_tests::eventually(60 * garenne_tests::SECONDS, "the policy holds", async || {
                put(&mut wire, [Draft::to("amq.topic", "k"), Draft::to("amq.headers", "k")]).await;
                let ready = wire.ready(1, ae).await;
                for queue in ["one", "two"] {
                    wire.purge(1, queue).await;
                }
                if ready == 2 { Ok(()) } else { Err(ready) }
            })
            .await;
        }
    }

    /// An auto-delete exchange goes when the exchange that it leads to goes, or when that binding is taken back.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn an_auto_delete_exchange_goes_with_its_last_destination(target: Target) {
        let mut wire = target.channel().await;
        for name in ["one", "two"] {
            wire.declare_exchange(1, Exchange::new("fanout", name).auto_delete()).await;
            wire.declare_exchange(1, Exchange::new("fanout", "end")).await;
            wire.bind_exchange(1, name, "", "end").await;
            wire.bind_exchange(1, name, "other", "end").await;
            assert!(exists(&mut wire, name).await);
            if name == "one" {
                wire.delete_exchange(1, "end").await;
            } else {
                for key in ["", "other"] {
                    assert!(exists(&mut wire, name).await);
                    wire.call(1, Binding::new(name, key, "end").unbind_exchange()).await;
                }
            }
            assert!(!exists(&mut wire, name).await, "{name}");
        }
        assert!(exists(&mut wire, "end").await);
    }

    /// An auto-delete exchange that others lead to does not go when they do: only its own bindings count.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn an_auto_delete_exchange_outlives_its_sources(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "source")).await;
        wire.declare_exchange(1, Exchange::new("fanout", "x").auto_delete()).await;
        wire.bind_exchange(1, "source", "", "x").await;
        bound(&mut wire, "x", "", "end").await;
        wire.delete_exchange(1, "source").await;
        assert!(exists(&mut wire, "x").await);
        wire.delete_queue(1, "end").await;
        assert!(!exists(&mut wire, "x").await);
    }

    /// An auto-delete exchange goes with its bindings when it is deleted, and one declared anew under its name has none.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn an_exchange_declared_anew_has_no_bindings(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "source")).await;
        for _ in 0..2 {
            wire.declare_exchange(1, Exchange::new("fanout", "x").auto_delete()).await;
            put(&mut wire, [Draft::to("source", ""), Draft::to("x", "")]).await;
            wire.bind_exchange(1, "source", "", "x").await;
            bound(&mut wire, "x", "", "end").await;
            assert_eq!(wire.ready(1, "end").await, 0);
            wire.delete_exchange(1, "x").await;
        }
    }

    /// An exchange with bindings to exchanges is in use.
    #[source = "rabbit_exchange.erl: delete"]
    async fn an_exchange_that_leads_to_exchanges_is_in_use(target: Target) {
        let mut wire = target.channel().await;
        for name in ["x", "y"] {
            wire.declare_exchange(1, Exchange::new("fanout", name)).await;
        }
        wire.bind_exchange(1, "x", "", "y").await;
        let delete = |name: &str| exchange::Delete { exchange: name.into(), if_unused: true, nowait: false };
        let closed = wire.refused(1, delete("x")).await;
        assert_eq!((closed.code, closed.text.contains("in use")), (406, true), "{closed}");
        wire.open_channel(1).await;
        wire.call(1, delete("y")).await;
        wire.call(1, delete("x")).await;
    }

    /// An auto-delete exchange goes with an exclusive queue whose connection ends, and with an auto-delete queue whose consumer ends.
    #[source = "https://www.rabbitmq.com/docs/exchanges"]
    async fn an_auto_delete_exchange_goes_with_queues_that_go(target: Target) {
        let mut wire = target.channel().await;
        for exchange in ["by connection", "by consumer", "by deletion"] {
            wire.declare_exchange(1, Exchange::new("topic", exchange).auto_delete()).await;
        }
        let mut other = target.channel().await;
        other.declare_queue(1, Queue::classic("exclusive").exclusive()).await;
        other.bind(1, "by connection", "#", "exclusive").await;
        other.declare_queue(1, Queue::classic("automatic").auto_delete()).await;
        other.bind(1, "by consumer", "#", "automatic").await;
        let tag = other.consume(1, "automatic").await;
        other.cancel(1, &tag).await;
        other.declare_queue(1, Queue::quorum("deleted")).await;
        other.bind(1, "by deletion", "#", "deleted").await;
        other.call(1, queue::Delete { queue: "deleted".into(), ..queue::Delete::default() }).await;
        other.close().await;
        for exchange in ["by connection", "by consumer", "by deletion"] {
            garenne_tests::eventually(60 * garenne_tests::SECONDS, exchange, async || {
                if exists(&mut wire, exchange).await { Err("it is there") } else { Ok(()) }
            })
            .await;
        }
    }

    /// What is published with confirms to an exchange that leads nowhere is confirmed, alternate exchange or not.
    #[source = "https://www.rabbitmq.com/docs/confirms"]
    async fn a_way_to_nowhere_is_confirmed(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("fanout", "end").internal()).await;
        wire.declare_exchange(1, Exchange::new("fanout", "x")).await;
        wire.declare_exchange(1, Exchange::new("direct", "y").with("alternate-exchange", "end")).await;
        wire.bind_exchange(1, "x", "", "end").await;
        put(&mut wire, [Draft::to("x", ""), Draft::to("y", "")]).await;
        wire.publish_draft(1, Draft::to("x", "").mandatory()).await;
        assert_eq!(wire.expect_return(1).await.exchange, "x");
        bound(&mut wire, "end", "", "q").await;
        put(&mut wire, [Draft::to("x", ""), Draft::to("y", "")]).await;
        becomes(&mut wire, "q", 2).await;
    }
}
