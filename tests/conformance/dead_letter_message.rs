//! What a dead letter keeps of the message that it was, and what its history tells of odd ones.

use garenne_tests::table;
use garenne_tests::wire::{AMQPValue, Draft, Exchange, Queue, Table};

use crate::behaviours;
use crate::dying::{chained, refuse, take};
use crate::steps::{KINDS, expires, put};

fn text(table: &Table, key: &str) -> Option<String> {
    table.text(key)
}

behaviours! {
    area = "messages that die", source = "https://www.rabbitmq.com/docs/dlx#effects";

    /// A dead letter keeps every property but the time to live, and its body.
    async fn every_property_but_the_time_to_live_is_kept(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, chained(kind, kind, "end")).await;
            let user = target.user();
            let properties = |p: garenne_tests::wire::BasicProperties| {
                p.with_content_type("text/plain".into())
                    .with_content_encoding("identity".into())
                    .with_delivery_mode(1)
                    .with_priority(7)
                    .with_correlation_id("c".into())
                    .with_reply_to("r".into())
                    .with_message_id("m".into())
                    .with_timestamp(1_600_000_000)
                    .with_type("t".into())
                    .with_user_id(user.as_str().into())
                    .with_app_id("a".into())
            };
            let draft = Draft::to_queue(kind).body(vec![7; 200_000]).properties(properties);
            let expected = draft.properties.clone();
            wire.publish_draft(1, draft.clone().expiration("60000")).await;
            refuse(&mut wire, kind).await;
            let dead = take(&mut wire, "end").await;
            assert_eq!(dead.body, draft.body);
            let found = dead.properties.clone().with_headers(Table::default().into());
            assert_eq!(found, expected.with_headers(Table::default().into()));
        }
    }

    /// A message may die twice in one queue for two reasons: each has its entry.
    async fn each_reason_has_its_entry(target: Target) {
        let mut wire = target.channel().await;
        for kind in KINDS {
            let wait = format!("{kind} wait");
            wire.declare_queue(1, chained(kind, kind, &wait)).await;
            wire.declare_queue(1, Queue::classic("end")).await;
            wire.declare_exchange(1, Exchange::new("fanout", "back")).await;
            wire.bind(1, "back", "", kind).await;
            wire.declare_queue(1, Queue::classic(&wait).with("x-dead-letter-exchange", "back")).await;
            put(&mut wire, [Draft::to_queue(kind).expiration("1")]).await;
            refuse(&mut wire, &wait).await;
            refuse(&mut wire, kind).await;
            let dead = take(&mut wire, &wait).await;
            let told: Vec<_> = dead.headers().tables("x-death").iter().map(|death| {
                (text(death, "reason"), text(death, "queue"), text(death, "exchange"), text(death, "original-expiration"))
            }).collect();
            let of = |reason: &str, queue: &str, exchange: &str, expiration: Option<&str>| {
                (Some(reason.to_owned()), Some(queue.to_owned()), Some(exchange.to_owned()), expiration.map(str::to_owned))
            };
            assert_eq!(told, [
                of("rejected", kind, "back", None),
                of("rejected", &wait, "", None),
                of("expired", kind, "", Some("1")),
            ]);
            wire.unbind(1, "back", "", kind).await;
        }
    }

    /// A time to live of 0 is told in the history as any other.
    async fn a_time_to_live_of_zero_is_told(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, chained(kind, kind, "end")).await;
            wire.publish_draft(1, Draft::to_queue(kind).expiration("0")).await;
            let dead = take(&mut wire, "end").await;
            assert_eq!(text(&dead.headers().tables("x-death")[0], "original-expiration").as_deref(), Some("0"));
        }
    }

    /// A time to live is delivered, and told in the history, as the number that it is.
    #[source = "mc_amqpl.erl: protocol_state"]
    async fn a_time_to_live_is_a_number(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, chained(kind, kind, "end")).await;
            for given in ["060000", "+60000"] {
                wire.publish_draft(1, Draft::to_queue(kind).expiration(given)).await;
                let delivery = refuse(&mut wire, kind).await;
                assert_eq!(delivery.properties.expiration(), &Some("60000".into()), "{kind}");
                let dead = take(&mut wire, "end").await;
                let told = text(&dead.headers().tables("x-death")[0], "original-expiration");
                assert_eq!(told.as_deref(), Some("60000"), "{kind}");
                wire.publish_draft(1, Draft::to_queue("missing").mandatory().expiration(given)).await;
                assert_eq!(wire.expect_return(1).await.properties.expiration(), &Some("60000".into()));
            }
        }
    }

    /// What a publisher writes into the headers of the first and the last death is replaced by the first death.
    #[source = "mc.erl: record_death"]
    async fn published_headers_of_deaths_are_replaced(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, chained(kind, kind, "end")).await;
            let mut draft = Draft::to_queue(kind).header("x-death", "nonsense").header("x-delivery-count", 9);
            for which in ["first", "last"] {
                for what in ["reason", "queue", "exchange"] {
                    draft = draft.header(&format!("x-{which}-death-{what}"), 7);
                }
            }
            let published = Table(draft.properties.headers().clone().expect("just set"));
            put(&mut wire, [draft]).await;
            let delivery = refuse(&mut wire, kind).await;
            assert_eq!(delivery.headers(), published);
            let headers = take(&mut wire, "end").await.headers();
            assert_eq!(headers.tables("x-death").len(), 1);
            for which in ["first", "last"] {
                let told = ["reason", "queue", "exchange"].map(|what| headers.text(&format!("x-{which}-death-{what}")));
                assert_eq!(told, ["rejected", kind, ""].map(|text| Some(text.to_owned())));
            }
            assert_eq!(headers.get("x-delivery-count"), Some(&AMQPValue::LongInt(9)));
        }
    }

    /// A consumer that publishes a dead letter again, headers and all, begins a new history, which replaces the old one at the next death.
    async fn a_dead_letter_published_again_begins_anew(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            let other = format!("{kind} other");
            wire.declare_queue(1, chained(kind, kind, "end")).await;
            wire.declare_queue(1, chained(kind, &other, "end").with("x-message-ttl", 1)).await;
            put(&mut wire, [Draft::to_queue(kind)]).await;
            refuse(&mut wire, kind).await;
            let dead = take(&mut wire, "end").await;
            let again = Draft::to_queue(&other).headers(dead.headers());
            put(&mut wire, [again]).await;
            let headers = take(&mut wire, "end").await.headers();
            let deaths = headers.tables("x-death");
            assert_eq!((deaths.len(), text(&deaths[0], "queue").as_deref()), (1, Some(other.as_str())));
            assert_eq!(text(&headers, "x-first-death-queue").as_deref(), Some(other.as_str()));
        }
    }

    /// The keys of `CC` go along to the second death, those of `BCC` too though nobody is told them; a dead-letter routing key ends both.
    #[source = "https://www.rabbitmq.com/docs/sender-selected"]
    async fn further_keys_go_along(target: Target) {
        let mut wire = target.channel().await;
        for exchange in ["one", "two"] {
            wire.declare_exchange(1, Exchange::new("direct", exchange)).await;
        }
        for kind in KINDS {
            let [first, second, keyed] = ["first", "second", "keyed"].map(|name| format!("{kind} {name}"));
            let queue = |name: &str| Queue::plain(name).with("x-queue-type", kind).with("x-message-ttl", 1);
            wire.declare_queue(1, queue(&first).with("x-dead-letter-exchange", "one")).await;
            wire.declare_queue(1, queue(&second).with("x-dead-letter-exchange", "two")).await;
            wire.bind(1, "one", "cc", &second).await;
            for end in ["end cc", "end bcc"] {
                wire.declare_queue(1, Queue::classic(end)).await;
            }
            wire.bind(1, "two", "cc", "end cc").await;
            wire.bind(1, "two", "bcc", "end bcc").await;
            let draft = Draft::to_queue(&first).header("CC", vec!["cc"]).header("BCC", vec!["bcc"]);
            put(&mut wire, [draft.clone()]).await;
            for end in ["end cc", "end bcc"] {
                let dead = take(&mut wire, end).await;
                assert_eq!(dead.routing_key, first);
                let headers = dead.headers();
                assert_eq!(headers.get("CC"), table! { "k" => vec!["cc"] }.get("k"));
                for death in headers.tables("x-death") {
                    assert_eq!(death.get("routing-keys"), table! { "k" => vec![&*first, "cc"] }.get("k"));
                }
            }
            wire.declare_queue(1, queue(&keyed).with("x-dead-letter-exchange", "").with("x-dead-letter-routing-key", "end cc")).await;
            wire.bind(1, "one", "bcc", &keyed).await;
            wire.unbind(1, "one", "cc", &second).await;
            put(&mut wire, [draft]).await;
            let dead = take(&mut wire, "end cc").await;
            assert_eq!(dead.routing_key, "end cc");
            assert_eq!(dead.headers().get("CC"), table! { "k" => vec!["cc"] }.get("k"));
            wire.unbind(1, "one", "bcc", &keyed).await;
        }
    }

    /// A dead-letter routing key that is also one of `BCC` is not told at the next death.
    #[source = "mc.erl: record_death"]
    async fn a_key_of_bcc_is_never_told(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            let second = format!("{kind} second");
            wire.declare_queue(1, chained(kind, kind, &second)).await;
            wire.declare_queue(1, chained(kind, &second, "end")).await;
            put(&mut wire, [Draft::to_queue(kind).header("BCC", vec![second.as_str()]).body("1")]).await;
            take(&mut wire, &second).await;
            refuse(&mut wire, kind).await;
            refuse(&mut wire, &second).await;
            let headers = take(&mut wire, "end").await.headers();
            let told: Vec<_> = headers.tables("x-death").iter().map(|death| death.get("routing-keys").cloned()).collect();
            let keys = |keys: Vec<&str>| table! { "k" => keys }.get("k").cloned();
            assert_eq!(told, [keys(vec![]), keys(vec![kind])]);
        }
    }

    /// What is in a queue that expires, goes with its last consumer or with its connection does not die: it is gone.
    #[source = "https://www.rabbitmq.com/docs/dlx"]
    async fn messages_go_with_their_queue(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        let mut other = target.channel().await;
        other.declare_queue(1, chained("classic", "exclusive", "end").exclusive()).await;
        other.declare_queue(1, chained("classic", "automatic", "end").auto_delete()).await;
        put(&mut other, ["exclusive", "automatic"].map(Draft::to_queue)).await;
        other.qos(1, 1).await;
        let tag = other.consume(1, "automatic").await;
        other.expect_delivery(1).await;
        other.cancel(1, &tag).await;
        other.close().await;
        for kind in KINDS {
            wire.declare_queue(1, chained(kind, kind, "end").with("x-expires", 500)).await;
            expires(&mut wire, kind).await;
        }
        put(&mut wire, [Draft::to_queue("end").body("marker")]).await;
        assert_eq!(take(&mut wire, "end").await.text(), "marker");
    }

    /// A dead-letter exchange that is deleted and declared as another type takes dead letters as that one.
    async fn the_exchange_is_looked_up_at_each_death(target: Target) {
        let mut wire = target.channel().await;
        wire.declare_queue(1, Queue::classic("end")).await;
        for kind in KINDS {
            wire.declare_queue(1, Queue::plain(kind).with("x-queue-type", kind).with("x-dead-letter-exchange", "dlx")).await;
            for (exchange, key) in [("direct", kind), ("topic", "#"), ("fanout", "")] {
                wire.declare_exchange(1, Exchange::new(exchange, "dlx")).await;
                wire.bind(1, "dlx", key, "end").await;
                put(&mut wire, [Draft::to_queue(kind).body(exchange)]).await;
                refuse(&mut wire, kind).await;
                assert_eq!(take(&mut wire, "end").await.text(), exchange);
                wire.delete_exchange(1, "dlx").await;
            }
        }
    }
}
