//! Dead lettering: who dies, where the message goes, and what its headers tell.

use garenne_tests::table;
use garenne_tests::wire::{
    AMQPValue, Confirm, Consumer, Delivery, Draft, Exchange, Queue, Table, Wire, basic,
};
use serde_json::json;

use crate::behaviours;
use crate::dying::receive;
use crate::steps::KINDS;

/// Returns a queue whose dead letters go to the exchange `dlx`.
fn source(kind: &str, name: &str) -> Queue {
    Queue::plain(name).with("x-queue-type", kind).with("x-dead-letter-exchange", "dlx")
}

/// Declares the exchange `dlx` and the queue `dead` behind it, and consumes that one on channel 2.
async fn consume_the_dead(wire: &mut Wire) {
    wire.open_channel(2).await;
    wire.declare_exchange(2, Exchange::new("fanout", "dlx")).await;
    wire.declare_queue(2, Queue::classic("dead")).await;
    wire.bind(2, "dlx", "", "dead").await;
    wire.consume_with(2, Consumer::new("dead").no_ack()).await;
}

/// Returns the history of a message, newest death first; the times are checked and left out.
fn deaths(headers: &Table) -> Vec<Table> {
    let deaths = headers.tables("x-death");
    for death in &deaths {
        let Some(AMQPValue::Timestamp(time)) = death.get("time") else { panic!("no time in {death:?}") };
        assert!(*time > 1_700_000_000, "{death:?}");
    }
    deaths.into_iter().map(|death| death.without("time")).collect()
}

/// Returns one entry of `x-death`, without its time.
fn death(count: i64, reason: &str, queue: &str, exchange: &str, keys: Vec<&str>) -> Table {
    table! {
        "count" => count, "reason" => reason, "queue" => queue, "exchange" => exchange, "routing-keys" => keys,
    }
}

/// Returns the headers that tell of the first and of the last death.
fn first_and_last(first: [&str; 3], last: [&str; 3]) -> Table {
    table! {
        "x-first-death-reason" => first[0], "x-first-death-queue" => first[1], "x-first-death-exchange" => first[2],
        "x-last-death-reason" => last[0], "x-last-death-queue" => last[1], "x-last-death-exchange" => last[2],
    }
}

behaviours! {
    area = "dead letters", source = "https://www.rabbitmq.com/docs/dlx";

    /// A message refused without requeue goes to the dead-letter exchange by its own key, and keeps what it was published with.
    async fn a_rejected_message_is_dead_lettered(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind)).await;
            for is_reject in [true, false] {
                let draft = Draft::to_queue(kind).header("k", 1).body("hello");
                wire.publish_draft(1, draft.properties(|p| p.with_message_id("m".into()).with_delivery_mode(2))).await;
                let delivery = receive(&mut wire, kind).await;
                if is_reject {
                    wire.reject(1, delivery.tag, false).await;
                } else {
                    wire.nack(1, delivery.tag, false).await;
                }
                let dead = wire.expect_delivery(2).await;
                assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str(), dead.redelivered), ("dlx", kind, false));
                assert_eq!((dead.text().as_str(), dead.properties.message_id()), ("hello", &Some("m".into())));
                assert_eq!(dead.properties.delivery_mode(), &Some(2));
                let headers = dead.headers();
                assert_eq!(deaths(&headers), [death(1, "rejected", kind, "", vec![kind])]);
                let rest = first_and_last(["rejected", kind, ""], ["rejected", kind, ""]).with("k", 1);
                assert_eq!(headers.without("x-death"), rest);
            }
        }
    }

    /// What the queue's own time to live ends is `expired`.
    #[source = "https://www.rabbitmq.com/docs/ttl"]
    async fn an_expired_message_is_dead_lettered(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind).with("x-message-ttl", 1)).await;
            wire.publish(1, "", kind, "hello").await;
            let headers = wire.expect_delivery(2).await.headers();
            assert_eq!(deaths(&headers), [death(1, "expired", kind, "", vec![kind])]);
            assert_eq!(headers.without("x-death"), first_and_last(["expired", kind, ""], ["expired", kind, ""]));
        }
    }

    /// A dead message loses its `expiration`, so that it does not expire again; `original-expiration` tells it, whatever the reason.
    #[source = "https://www.rabbitmq.com/docs/dlx#effects"]
    async fn the_expiration_is_moved_to_the_history(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind)).await;
            wire.publish_draft(1, Draft::to_queue(kind).expiration("1")).await;
            let dead = wire.expect_delivery(2).await;
            assert_eq!(dead.properties.expiration(), &None);
            let expired = death(1, "expired", kind, "", vec![kind]).with("original-expiration", "1");
            assert_eq!(deaths(&dead.headers()), [expired]);
            wire.publish_draft(1, Draft::to_queue(kind).expiration("60000")).await;
            let delivery = receive(&mut wire, kind).await;
            wire.reject(1, delivery.tag, false).await;
            let dead = wire.expect_delivery(2).await;
            assert_eq!(dead.properties.expiration(), &None);
            let rejected = death(1, "rejected", kind, "", vec![kind]).with("original-expiration", "60000");
            assert_eq!(deaths(&dead.headers()), [rejected]);
        }
    }

    /// The head of a queue that is too long is dead lettered as `maxlen`.
    #[source = "https://www.rabbitmq.com/docs/maxlength"]
    async fn the_head_of_a_full_queue_is_dead_lettered(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind).with("x-max-length", 1)).await;
            wire.publish(1, "", kind, "1").await;
            wire.publish(1, "", kind, "2").await;
            let dead = wire.expect_delivery(2).await;
            assert_eq!(dead.text(), "1");
            assert_eq!(deaths(&dead.headers()), [death(1, "maxlen", kind, "", vec![kind])]);
        }
    }

    /// With `reject-publish-dlx` a full classic queue refuses the newest message and dead letters it as `maxlen`; with
    /// `reject-publish` it only refuses it.
    #[source = "https://www.rabbitmq.com/docs/maxlength#overflow-behaviour"]
    async fn a_refused_publish_is_dead_lettered_on_request(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        wire.confirm_select(1).await;
        for (name, overflow) in [("silent", "reject-publish"), ("loud", "reject-publish-dlx")] {
            let queue = source("classic", name).with("x-max-length", 0).with("x-overflow", overflow);
            wire.declare_queue(1, queue).await;
        }
        wire.publish(1, "", "silent", "1").await;
        wire.publish(1, "", "loud", "2").await;
        assert_eq!(wire.expect_confirms(1, 2).await, [Confirm::Nack, Confirm::Nack]);
        let dead = wire.expect_delivery(2).await;
        assert_eq!(dead.text(), "2");
        assert_eq!(deaths(&dead.headers()), [death(1, "maxlen", "loud", "", vec!["loud"])]);
    }

    /// A message returned to a quorum queue once more than its delivery limit allows is dead lettered as `delivery_limit`.
    #[source = "https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling"]
    async fn a_message_delivered_too_often_is_dead_lettered(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        wire.declare_queue(1, source("quorum", "q").with("x-delivery-limit", 1)).await;
        wire.publish(1, "", "q", "hello").await;
        wire.consume(1, "q").await;
        for redelivered in [false, true] {
            let delivery = wire.expect_delivery(1).await;
            assert_eq!(delivery.redelivered, redelivered);
            wire.reject(1, delivery.tag, true).await;
        }
        let headers = wire.expect_delivery(2).await.headers();
        assert_eq!(deaths(&headers), [death(1, "delivery_limit", "q", "", vec!["q"])]);
        let last = ["delivery_limit", "q", ""];
        assert_eq!(headers.without("x-death"), first_and_last(last, last));
    }

    /// `routing-keys` holds the keys of `CC` but not those of `BCC`; the message goes to the dead-letter exchange by all of them.
    #[source = "mc.erl: record_death"]
    async fn a_dead_message_keeps_all_its_keys(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "x")).await;
        wire.declare_exchange(1, Exchange::new("direct", "dlx")).await;
        for key in ["key", "cc", "bcc"] {
            wire.declare_queue(1, Queue::classic(key)).await;
            wire.bind(1, "dlx", key, key).await;
        }
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind).with("x-message-ttl", 0)).await;
            wire.bind(1, "x", kind, kind).await;
            let keys = Draft::to("x", "key").header("CC", vec!["cc", kind]).header("BCC", vec!["bcc"]);
            wire.publish_draft(1, keys).await;
            for queue in ["key", "cc", "bcc"] {
                let dead = receive(&mut wire, queue).await;
                assert_eq!((dead.exchange.as_str(), dead.routing_key.as_str()), ("dlx", "key"));
                let headers = dead.headers();
                assert_eq!(deaths(&headers), [death(1, "expired", kind, "x", vec!["key", "cc", kind])]);
                assert_eq!((headers.get("CC").is_some(), headers.get("BCC").is_some()), (true, false));
            }
        }
    }

    /// `x-dead-letter-routing-key` replaces the key of the message and those of `CC` and `BCC`.
    #[source = "https://www.rabbitmq.com/docs/dlx#routing"]
    async fn the_dead_letter_routing_key_replaces_all_keys(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_exchange(1, Exchange::new("direct", "dlx")).await;
        for key in ["cc", "bcc", "dead"] {
            wire.declare_queue(1, Queue::classic(key)).await;
            wire.bind(1, "dlx", key, key).await;
        }
        for kind in KINDS {
            let queue = source(kind, kind).with("x-dead-letter-routing-key", "dead").with("x-message-ttl", 0);
            wire.declare_queue(1, queue).await;
            let keys = Draft::to_queue(kind).header("CC", vec!["dead cc"]).header("BCC", vec!["bcc"]);
            wire.publish_draft(1, keys).await;
            let dead = receive(&mut wire, "dead").await;
            assert_eq!(dead.routing_key, "dead");
            assert_eq!(deaths(&dead.headers()), [death(1, "expired", kind, "", vec![kind, "dead cc"])]);
            assert_eq!(wire.ready(1, "cc").await, 0);
            assert_eq!(receive(&mut wire, "bcc").await.headers().get("x-death"), None, "published, not dead");
        }
    }

    /// Without its dead-letter exchange a dead message is dropped; the exchange may be declared later.
    async fn a_missing_dead_letter_exchange_drops(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind)).await;
            wire.publish(1, "", kind, "lost").await;
            let delivery = receive(&mut wire, kind).await;
            wire.reject(1, delivery.tag, false).await;
            wire.expect_ready(1, kind, 0).await;
        }
        consume_the_dead(&mut wire).await;
        for kind in KINDS {
            wire.publish(1, "", kind, "found").await;
            let delivery = receive(&mut wire, kind).await;
            assert_eq!(delivery.text(), "found");
            wire.reject(1, delivery.tag, false).await;
            assert_eq!(wire.expect_delivery(2).await.text(), "found");
        }
    }

    /// Purging or deleting a queue does not dead letter what it holds.
    async fn a_queue_that_is_emptied_does_not_dead_letter(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        wire.confirm_select(1).await;
        let mut number = 0;
        for kind in KINDS {
            for name in ["purged", "deleted"] {
                wire.declare_queue(1, source(kind, name)).await;
                number += 1;
                wire.publish_confirmed(1, number, Draft::to_queue(name).body("kept")).await;
            }
            assert_eq!(wire.purge(1, "purged").await, 1);
            wire.delete_queue(1, "deleted").await;
            number += 1;
            wire.publish_confirmed(1, number, Draft::to_queue("purged").body("marker")).await;
            let delivery = receive(&mut wire, "purged").await;
            wire.reject(1, delivery.tag, false).await;
            assert_eq!(wire.expect_delivery(2).await.text(), "marker");
            wire.delete_queue(1, "purged").await;
        }
    }

    /// Refusing several deliveries at once dead letters them in their order.
    async fn a_multiple_nack_dead_letters_in_order(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        for kind in KINDS {
            wire.declare_queue(1, source(kind, kind)).await;
            for body in ["1", "2", "3"] {
                wire.publish(1, "", kind, body).await;
            }
            let tag = wire.consume(1, kind).await;
            let last = wire.expect_deliveries(1, 3).await[2].tag;
            wire.send(1, basic::Nack { delivery_tag: last, multiple: true, requeue: false }).await;
            let dead: Vec<_> = wire.expect_deliveries(2, 3).await.iter().map(Delivery::text).collect();
            assert_eq!(dead, ["1", "2", "3"]);
            wire.cancel(1, &tag).await;
        }
    }

    /// A policy gives queues a dead-letter exchange and key; arguments of a queue come before it.
    async fn a_policy_names_the_dead_letter_exchange(target: Target) {
        let mut wire = target.channel().await;
        consume_the_dead(&mut wire).await;
        let definition = json!({ "dead-letter-exchange": "dlx", "dead-letter-routing-key": "by policy" });
        target.set_policy("dead", "^(classic|quorum|own)$", definition, "queues", 0).await;
        let own = Queue::classic("own").with("x-dead-letter-exchange", "dlx").with("x-dead-letter-routing-key", "own");
        wire.declare_queue(1, own).await;
        for kind in KINDS {
            wire.declare_queue(1, Queue::plain(kind).with("x-queue-type", kind)).await;
        }
        for (queue, key) in [("own", "own"), ("classic", "by policy"), ("quorum", "by policy")] {
            wire.publish(1, "", queue, "hello").await;
            let delivery = receive(&mut wire, queue).await;
            wire.reject(1, delivery.tag, false).await;
            assert_eq!(wire.expect_delivery(2).await.routing_key, key);
        }
    }
}
