//! Where messages go, for every type of exchange.

use std::collections::BTreeSet;

use garenne_tests::{SECONDS, Vhost, eventually};
use garenne_topology::{Exchange, HashBy, HeadersMatch, Queue, Topology};
use garenne_transport::Client;
use serde_json::{Value, json};

/// An applied topology and the names of its queues.
struct Routed {
    vhost: Vhost,
    client: Client,
    queues: Vec<String>,
}

impl Routed {
    async fn new(topology: Topology) -> Self {
        let vhost = crate::vhost().await;
        let client = vhost.connect().await;
        client.apply(&topology).await.expect("it is applied");
        let queues = topology.queue_names().map(String::from).collect();
        Self { vhost, client, queues }
    }

    /// Publishes one message and checks that exactly these queues get it.
    async fn check(&self, exchange: &str, key: &str, headers: Value, expected: &[&str]) {
        let properties = json!({ "headers": headers });
        let routed = self.vhost.publish_raw(exchange, key, properties, b"m").await;
        assert_eq!(routed, !expected.is_empty(), "`{key}` to `{exchange}`");
        let mut found = BTreeSet::new();
        let expected: BTreeSet<_> = expected.iter().map(|queue| (*queue).to_owned()).collect();
        eventually(60 * SECONDS, &format!("`{key}` to `{exchange}` reaches {expected:?}"), async || {
            for queue in &self.queues {
                if !self.vhost.take_raw(queue, 10).await.is_empty() {
                    found.insert(queue.clone());
                }
            }
            if found == expected { Ok(()) } else { Err(found.clone()) }
        })
        .await;
    }

    /// Publishes `n` messages with as many keys, and returns how many each queue got, once all have come.
    async fn spread(&self, exchange: &str, n: usize, properties: impl Fn(usize) -> Value) -> Vec<usize> {
        for number in 0..n {
            let key = format!("key-{number}");
            assert!(
                self.vhost.publish_raw(exchange, &key, properties(number), b"m").await,
                "{key} is routed"
            );
        }
        let mut counts = vec![0; self.queues.len()];
        eventually(60 * SECONDS, "all messages have come", async || {
            for (count, queue) in counts.iter_mut().zip(&self.queues) {
                *count += self.vhost.take_raw(queue, 1000).await.len();
            }
            if counts.iter().sum::<usize>() == n { Ok(()) } else { Err(counts.clone()) }
        })
        .await;
        counts
    }
}

fn queue(name: &'static str) -> garenne_topology::ClassicQueue {
    Queue::classic(name)
}

#[tokio::test]
async fn a_direct_exchange_routes_by_the_key() {
    let topology = Topology::new()
        .exchange(Exchange::direct("x"))
        .queue(queue("a").bind("x", "a"))
        .queue(queue("ab").bind("x", "a").bind("x", "b"));
    let routed = Routed::new(topology).await;
    routed.check("x", "a", json!({}), &["a", "ab"]).await;
    routed.check("x", "b", json!({}), &["ab"]).await;
    routed.check("x", "a.b", json!({}), &[]).await;
    routed.client.close().await;
}

#[tokio::test]
async fn a_topic_exchange_routes_by_patterns() {
    let topology = Topology::new()
        .exchange(Exchange::topic("x"))
        .queue(queue("star").bind("x", "order.*"))
        .queue(queue("hash").bind("x", "order.#"))
        .queue(queue("mixed").bind("x", "#.eu.*"))
        .queue(queue("all").bind("x", "#"));
    let routed = Routed::new(topology).await;
    routed.check("x", "order", json!({}), &["hash", "all"]).await;
    routed.check("x", "order.placed", json!({}), &["star", "hash", "all"]).await;
    routed.check("x", "order.eu.paid", json!({}), &["hash", "mixed", "all"]).await;
    routed.check("x", "eu.x", json!({}), &["mixed", "all"]).await;
    routed.check("x", "", json!({}), &["all"]).await;
    routed.client.close().await;
}

#[tokio::test]
async fn a_fanout_exchange_routes_to_everyone() {
    let topology = Topology::new()
        .exchange(Exchange::fanout("x"))
        .queue(queue("a").bind("x", ""))
        .queue(queue("b").bind("x", "ignored"));
    let routed = Routed::new(topology).await;
    routed.check("x", "anything", json!({}), &["a", "b"]).await;
    routed.client.close().await;
}

#[tokio::test]
async fn a_headers_exchange_routes_by_all_or_any_headers() {
    let pdf = |headers: HeadersMatch| headers.header("format", "pdf").header("pages", 1);
    let topology = Topology::new()
        .exchange(Exchange::headers("x"))
        .queue(queue("all").bind_headers("x", pdf(HeadersMatch::all())))
        .queue(queue("any").bind_headers("x", pdf(HeadersMatch::any())))
        .queue(queue("tenant").bind_headers("x", HeadersMatch::all().present("tenant")))
        .queue(queue("urgent").bind_headers("x", HeadersMatch::all().header("x-urgent", true).with_x()));
    let routed = Routed::new(topology).await;
    routed.check("x", "", json!({ "format": "pdf", "pages": 1 }), &["all", "any"]).await;
    routed.check("x", "", json!({ "format": "pdf", "pages": 2 }), &["any"]).await;
    routed.check("x", "", json!({ "tenant": "t" }), &["tenant"]).await;
    routed.check("x", "", json!({ "x-urgent": true }), &["urgent"]).await;
    routed.check("x", "", json!({ "format": "txt" }), &[]).await;
    routed.client.close().await;
}

#[tokio::test]
async fn a_consistent_hash_exchange_spreads_by_weight() {
    let topology = Topology::new()
        .exchange(Exchange::consistent_hash("x"))
        .queue(queue("one").bind("x", "1"))
        .queue(queue("nine").bind("x", "9"));
    let routed = Routed::new(topology).await;
    let counts = routed.spread("x", 200, |_| json!({})).await;
    assert!(counts[0] > 0 && counts[1] > 2 * counts[0], "{counts:?}");
    routed.client.close().await;
}

#[tokio::test]
async fn a_consistent_hash_exchange_spreads_by_a_header_or_a_property() {
    let topology = Topology::new()
        .exchange(Exchange::consistent_hash_by("header", HashBy::Header("tenant".to_owned())))
        .exchange(Exchange::consistent_hash_by("property", HashBy::MessageId))
        .queue(queue("a").bind("header", "1").bind("property", "1"))
        .queue(queue("b").bind("header", "1").bind("property", "1"));
    let routed = Routed::new(topology).await;
    let same = routed.spread("header", 30, |_| json!({ "headers": { "tenant": "t" } })).await;
    assert!(same.contains(&30), "one tenant, one queue: {same:?}");
    let same = routed.spread("property", 30, |_| json!({ "message_id": "m" })).await;
    assert!(same.contains(&30), "one message id, one queue: {same:?}");
    let spread = routed.spread("property", 100, |number| json!({ "message_id": number.to_string() })).await;
    assert!(spread.iter().all(|count| *count > 0), "{spread:?}");
    routed.client.close().await;
}

#[tokio::test]
async fn a_modulus_hash_exchange_spreads_by_the_key() {
    let topology = Topology::new()
        .exchange(Exchange::modulus_hash("x"))
        .queue(queue("a").bind("x", ""))
        .queue(queue("b").bind("x", ""));
    let routed = Routed::new(topology).await;
    let counts = routed.spread("x", 100, |_| json!({})).await;
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    routed.client.close().await;
}

#[tokio::test]
async fn an_alternate_exchange_takes_what_nobody_else_does() {
    let topology = Topology::new()
        .exchange(Exchange::direct("x").alternate("rest"))
        .exchange(Exchange::fanout("rest").internal())
        .queue(queue("known").bind("x", "known"))
        .queue(queue("rest").bind("rest", ""));
    let routed = Routed::new(topology).await;
    routed.check("x", "known", json!({}), &["known"]).await;
    routed.check("x", "unknown", json!({}), &["rest"]).await;
    routed.client.close().await;
}

#[tokio::test]
async fn exchanges_are_bound_to_exchanges() {
    let topology = Topology::new()
        .exchange(Exchange::topic("orders"))
        .exchange(Exchange::fanout("eu").bind("orders", "#.eu"))
        .exchange(Exchange::headers("by-format").bind("eu", ""))
        .exchange(
            Exchange::fanout("pdfs").bind_headers("by-format", HeadersMatch::any().header("format", "pdf")),
        )
        .queue(queue("eu").bind("eu", ""))
        .queue(queue("pdfs").bind("pdfs", ""));
    let routed = Routed::new(topology).await;
    routed.check("orders", "placed.eu", json!({}), &["eu"]).await;
    routed.check("orders", "placed.eu", json!({ "format": "pdf" }), &["eu", "pdfs"]).await;
    routed.check("orders", "placed.us", json!({ "format": "pdf" }), &[]).await;
    routed.client.close().await;
}
