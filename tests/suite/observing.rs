//! What `garenne-management` reads: the same on both brokers.

use garenne_management::{ManagementErrorKind, Observed};
use garenne_tests::wire::{Queue as WireQueue, Wire};
use garenne_tests::{SECONDS, Vhost, encode, eventually, table};
use garenne_topology::{
    DeadLetterStrategy, Declaration, Exchange, HashBy, HeadersMatch, Overflow, Queue, QueueKind, Topology,
};
use serde_json::json;

/// Everything that a topology can say, without plugins.
fn rich() -> Topology {
    let documents = HeadersMatch::any().header("format", "pdf").header("pages", 2).present("tenant");
    Topology::new()
        .exchange(Exchange::topic("orders").alternate("rest"))
        .exchange(Exchange::fanout("rest").internal().auto_delete())
        .exchange(Exchange::headers("documents").transient().bind("orders", "document.#"))
        .exchange(Exchange::direct("direct"))
        .queue(
            Queue::quorum("billing")
                .bind("orders", "order.placed.*")
                .message_ttl(60 * SECONDS)
                .delivery_limit(7)
                .overflow(Overflow::RejectPublish)
                .dead_letter_strategy(DeadLetterStrategy::AtLeastOnce)
                .dead_letter(),
        )
        .queue(Queue::classic("rest").bind("rest", "").bind("direct", "a").max_priority(5).max_length(1000))
        .queue(Queue::stream("pdfs").bind_headers("documents", documents).max_length_bytes(1 << 20))
}

/// Every declaration that is in a vhost, but for what is there without a topology.
fn declared(observed: &Observed) -> Vec<Declaration> {
    let own = |name: &str| !name.is_empty() && !name.starts_with("amq.");
    let exchanges = observed.exchanges.iter().filter(|exchange| own(&exchange.name));
    let exchanges =
        exchanges.map(|exchange| Declaration::Exchange(exchange.declaration().expect("a valid name")));
    let queues =
        observed.queues.iter().map(|queue| Declaration::Queue(queue.declaration().expect("a valid name")));
    let bindings = observed.bindings.iter();
    let bindings = bindings.map(|binding| Declaration::Binding(binding.binding().expect("valid names")));
    exchanges.chain(queues).chain(bindings).collect()
}

#[tokio::test]
async fn a_vhost_is_read_as_it_was_declared() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    client.apply(&rich()).await.expect("it is applied");
    let observed = vhost.observe().await;
    let (mut found, mut expected) = (declared(&observed), rich().declarations());
    for declarations in [&mut found, &mut expected] {
        declarations.sort_by_key(|declaration| format!("{declaration:?}"));
    }
    assert_eq!(found, expected);
    assert_eq!(observed.queue("pdfs").and_then(|queue| queue.kind), Some(QueueKind::Stream));
    assert_eq!(observed.exchange("").map(|exchange| exchange.kind.as_str()), Some("direct"));
    assert_eq!(observed.vhost.name, vhost.name());
    assert_eq!(observed.vhost.default_queue_kind, Some(QueueKind::Classic));
    client.close().await;
}

#[tokio::test]
async fn the_broker_says_what_it_is_and_what_it_can() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let broker = vhost.observe().await.broker;
    assert_eq!(
        (&broker.product, &broker.version),
        (&client.capabilities().product, &client.capabilities().version)
    );
    for kind in [Exchange::topic("x"), Exchange::consistent_hash_by("x", HashBy::MessageId)] {
        assert!(broker.exchange_types.contains(kind.kind().as_str()), "{broker:?}");
    }
    assert!(
        broker.listeners.iter().any(|one| one.protocol == "amqp" && one.node == broker.node),
        "{broker:?}"
    );
    assert_eq!(broker.alarms, []);
    let nodes = vhost.read(async |management| management.nodes().await).await;
    assert!(nodes.iter().any(|node| node.name == broker.node && node.running), "{nodes:?}");
    client.close().await;
}

#[tokio::test]
async fn counts_of_messages_and_consumers_are_read() {
    let vhost = crate::vhost().await;
    vhost.declare_queue("work", json!({ "x-queue-type": "quorum" })).await;
    let client = vhost.connect().await;
    for _ in 0..3 {
        assert!(vhost.publish_raw("", "work", json!({}), b"m").await);
    }
    let subscription = garenne_transport::Subscription::new("work").prefetch(2);
    let mut subscriber = client.subscribe(subscription).await.expect("it is there");
    let held = [subscriber.next().await.expect("one"), subscriber.next().await.expect("two")];
    eventually(60 * SECONDS, "one is ready and two are taken", async || {
        let found = vhost.counts("work").await;
        let counts = (found.messages, found.ready, found.unacked, found.consumers);
        if counts == (Some(3), Some(1), Some(2), Some(1)) { Ok(()) } else { Err(found) }
    })
    .await;
    eventually(60 * SECONDS, "the consumer is told", async || {
        let consumers = vhost.consumers().await;
        let found: Vec<_> =
            consumers.iter().map(|one| (one.queue.as_str(), one.prefetch, one.active)).collect();
        if found == [("work", 2, true)] { Ok(()) } else { Err(consumers) }
    })
    .await;
    eventually(60 * SECONDS, "the connections have the names that the client gave them", async || {
        let connections = vhost.connections().await;
        let is_named = |name: &str| connections.iter().any(|one| one.client_name.as_deref() == Some(name));
        let channels = vhost.channels().await;
        let is_told = channels.iter().any(|one| connections.iter().any(|open| open.name == one.connection));
        if is_named("garenne/consume") && is_told { Ok(()) } else { Err((connections.clone(), channels)) }
    })
    .await;
    drop(held);
    client.close().await;
}

#[tokio::test]
async fn policies_are_read_and_what_follows_from_them() {
    let vhost = crate::vhost().await;
    vhost.declare_queue("work", json!({ "x-queue-type": "quorum" })).await;
    let policy = json!({
        "pattern": "^wo", "apply-to": "quorum_queues", "priority": 3,
        "definition": { "delivery-limit": 5, "dead-letter-exchange": "" },
    });
    vhost.admin().put(&format!("/policies/{}/{}", vhost.name(), encode("a/b %2f")), &policy).await;
    eventually(60 * SECONDS, "the policy applies", async || {
        let queue = vhost.queue("work").await.expect("it is there");
        let applies = queue.policy.as_deref() == Some("a/b %2f")
            && queue.effective_policy.int("delivery-limit") == Some(5);
        if applies { Ok(()) } else { Err(queue) }
    })
    .await;
    let [policy] = &vhost.observe().await.policies[..] else { panic!("there is one policy") };
    assert_eq!((policy.name.as_str(), policy.pattern.as_str(), policy.priority), ("a/b %2f", "^wo", 3));
    assert_eq!(
        (policy.apply_to.as_str(), policy.definition.int("delivery-limit")),
        ("quorum_queues", Some(5))
    );
}

/// Names that a URL could take for something else.
const STRANGE: [&str; 8] = ["a/b", "%2f", "../x", "x/..", "grün ☂", "a?b#c&d=e", "a+b c", "..."];

#[tokio::test]
async fn a_name_is_a_name_whatever_is_in_it() {
    let vhost = crate::vhost().await;
    let strange = StrangeVhost::new(&vhost).await;
    let mut wire = Wire::connect(&strange.url).await;
    wire.open_channel(1).await;
    for name in STRANGE.into_iter().chain([".."]) {
        wire.declare_queue(1, WireQueue::classic(name)).await;
    }
    wire.bind(1, "amq.topic", "k/%2f", "a/b").await;
    for name in STRANGE {
        let vhost_name = strange.name.clone();
        let found = vhost.read(async move |management| management.queue(&vhost_name, name).await).await;
        assert_eq!(found.map(|queue| queue.name), Some(name.to_owned()));
    }
    let name = strange.name.clone();
    let observed = vhost.read(async move |management| management.observe(&name).await).await;
    assert_eq!(observed.queues.len(), STRANGE.len() + 1);
    assert!(observed.queue("..").is_some(), "{:?}", observed.queues);
    let [binding] = &observed.bindings[..] else { panic!("one binding is there: {:?}", observed.bindings) };
    assert_eq!((binding.routing_key.as_str(), observed.vhost.name), ("k/%2f", strange.name.clone()));
    let name = strange.name.clone();
    let error =
        vhost.read(async move |management| Ok(management.queue(&name, "..").await.unwrap_err().kind())).await;
    assert_eq!(error, ManagementErrorKind::Unaddressable);
    wire.close().await;
    strange.delete(&vhost).await;
}

/// A vhost whose name holds everything that paths are made of.
struct StrangeVhost {
    name: String,
    url: String,
}

impl StrangeVhost {
    async fn new(vhost: &Vhost) -> Self {
        let name = format!("{}/../%2f ☂", vhost.name());
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        vhost.admin().put(&format!("/vhosts/{}", encode(&name)), &json!({})).await;
        vhost.admin().put(&format!("/permissions/{}/{}", encode(&name), vhost.name()), &all).await;
        let url = vhost.url();
        let (place, _) = url.rsplit_once('/').expect("the URL ends with the vhost");
        Self { url: format!("{place}/{}", encode(&name)), name }
    }

    async fn delete(self, vhost: &Vhost) {
        assert!(vhost.admin().delete(&format!("/vhosts/{}", encode(&self.name))).await);
    }
}

#[tokio::test]
async fn a_thousand_queues_are_read_whole() {
    const COUNT: usize = 1001;
    let vhost = crate::vhost().await;
    let mut wire = Wire::connect(&vhost.url()).await;
    wire.open_channel(1).await;
    for number in 0..COUNT {
        let queue =
            WireQueue::classic(&format!("q-{number:04}")).arguments(table! { "x-max-length" => 7_i32 });
        wire.declare_queue(1, queue).await;
    }
    let observed = vhost.observe().await;
    let mut names: Vec<_> = observed.queues.iter().map(|queue| queue.name.clone()).collect();
    names.sort();
    assert_eq!(names, (0..COUNT).map(|number| format!("q-{number:04}")).collect::<Vec<_>>());
    assert!(observed.queues.iter().all(|queue| queue.arguments.int("x-max-length") == Some(7)));
    wire.close().await;
}

#[tokio::test]
async fn a_vhost_that_is_not_there_is_an_error_with_its_name() {
    let vhost = crate::vhost().await;
    let error = vhost.read(async |management| Ok(management.observe("none/%2f").await.unwrap_err())).await;
    assert_eq!((error.kind(), error.status_code()), (ManagementErrorKind::NotFound, Some(404)));
    assert!(error.to_string().contains("vhost `none/%2f`"), "{error}");
    let found = vhost.read(async |management| management.vhost("none/%2f").await).await;
    assert_eq!(found, None);
}
