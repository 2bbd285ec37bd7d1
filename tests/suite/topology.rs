//! Applying and verifying topologies.

use std::time::Duration;

use garenne_tests::{Direction, Mode, SECONDS, Vhost, eventually};
use garenne_topology::{
    Declaration, Exchange, HeadersMatch, Overflow, Queue, QueueDefinition, QueueKind, Topology, WarningKind,
};
use garenne_transport::{Client, DeclaredAs, ErrorKind};
use serde_json::json;

pub(crate) fn orders() -> Topology {
    Topology::new()
        .exchange(Exchange::topic("orders").alternate("rest"))
        .exchange(Exchange::fanout("rest"))
        .exchange(Exchange::headers("documents").bind("orders", "document.#"))
        .queue(
            Queue::quorum("billing")
                .bind("orders", "order.placed.*")
                .message_ttl(3600 * SECONDS)
                .dead_letter(),
        )
        .queue(Queue::classic("rest").bind("rest", "").max_priority(5).max_length(1000))
        .queue(Queue::stream("pdfs").bind_headers("documents", HeadersMatch::all().header("format", "pdf")))
}

fn how(applied: &garenne_transport::Applied) -> Vec<DeclaredAs> {
    applied.declared.iter().map(|declared| declared.how).collect()
}

/// Names of everything in the vhost; the broker's own exchanges, and its bindings to the default exchange, left out.
async fn inventory(vhost: &Vhost) -> Vec<String> {
    let observed = vhost.observe().await;
    let own = |name: &str| !name.is_empty() && !name.starts_with("amq.");
    let exchanges = observed.exchanges.iter().filter(|exchange| own(&exchange.name));
    let mut names: Vec<_> = exchanges.map(|exchange| format!("exchange {}", exchange.name)).collect();
    names.extend(observed.queues.iter().map(|queue| format!("queue {}", queue.name)));
    names.extend(observed.bindings.iter().map(|binding| format!("{binding:?}")));
    names.sort();
    names
}

#[tokio::test]
async fn applying_twice_creates_once() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let first = client.apply(&orders()).await.expect("it is applied");
    let expected = [
        [DeclaredAs::Created; 3].as_slice(),
        &[DeclaredAs::Bound],
        &[DeclaredAs::Created; 4],
        &[DeclaredAs::Bound; 3],
    ];
    assert_eq!(how(&first), expected.concat());
    assert!(first.to_string().ends_with("7 created, 0 found, 4 bound"), "{first}");
    let before = inventory(&vhost).await;
    assert_eq!(before.len(), 11, "{before:?}");

    let second = client.apply(&orders()).await.expect("it is applied again");
    assert_eq!(second.created().count(), 0);
    assert!(second.to_string().contains("found    queue `billing.dlq`\n"), "{second}");
    assert_eq!(inventory(&vhost).await, before);
    let dead_letters = vhost.queue("billing.dlq").await.expect("it was declared along");
    assert_eq!(
        (dead_letters.kind, dead_letters.arguments.int("x-delivery-limit")),
        (Some(QueueKind::Quorum), Some(-1))
    );
    client.close().await;
}

#[tokio::test]
async fn every_argument_is_accepted_by_the_broker() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let day = 86_400 * SECONDS;
    let topology = Topology::new()
        .exchange(Exchange::direct("d").auto_delete().internal().bound_elsewhere())
        .exchange(Exchange::fanout("f").transient().bound_elsewhere())
        .queue(
            Queue::quorum("q")
                .message_ttl(day)
                .expires(3650 * day)
                .max_length(10)
                .max_length_bytes(i64::MAX.unsigned_abs())
                .overflow(Overflow::RejectPublish)
                .delivery_limit(3)
                .single_active_consumer()
                .initial_group_size(1)
                .dead_letter(),
        )
        .queue(
            Queue::classic("c")
                .message_ttl(Duration::ZERO)
                .expires(day)
                .max_length_bytes(10)
                .max_priority(255)
                .auto_delete()
                .single_active_consumer()
                .dead_letter_to("d", "key"),
        )
        .queue(Queue::classic("x").exclusive())
        .queue(
            Queue::stream("s")
                .max_age(7 * day)
                .max_length_bytes(1_000_000)
                .max_segment_size_bytes(3000)
                .initial_group_size(1),
        );
    let applied = client.apply(&topology).await.expect("it is applied");
    assert_eq!(
        applied.warnings.iter().map(garenne_topology::Warning::kind).collect::<Vec<_>>(),
        [WarningKind::AutoDeleteQueue, WarningKind::ExclusiveQueue]
    );
    client.apply(&topology).await.expect("what was declared is what exists");
    client.close().await;
}

/// Declares `existing`, then `wanted`, which differ in this argument.
async fn check_mismatch(
    client: &Client,
    existing: impl Into<QueueDefinition>,
    wanted: impl Into<QueueDefinition>,
    [argument, declared, found]: [&str; 3],
) {
    let existing = existing.into();
    let name = existing.name().to_string();
    client
        .apply(&Topology::new().queue(existing).external_exchange("amq.fanout"))
        .await
        .expect("the first is applied");
    let wanted = Topology::new().queue(wanted).external_exchange("amq.fanout");
    let error = client.apply(&wanted).await.expect_err("the second differs");
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    assert!(!error.is_transient());
    let start = format!(
        "queue `{name}` exists with other properties: `{argument}` is declared as {declared}, but it is {found} on the broker; "
    );
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[tokio::test]
async fn a_queue_with_other_properties_is_a_mismatch_with_both_values() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let c = Queue::classic;
    let q = |name: &'static str| Queue::quorum(name).without_dead_letter();
    check_mismatch(
        &client,
        c("ttl").message_ttl(2 * SECONDS),
        c("ttl").message_ttl(SECONDS),
        ["x-message-ttl", "1000", "2000"],
    )
    .await;
    check_mismatch(&client, c("length"), c("length").max_length(5), ["x-max-length", "5", "unset"]).await;
    check_mismatch(&client, c("bytes").max_length_bytes(5), c("bytes"), ["x-max-length-bytes", "unset", "5"])
        .await;
    check_mismatch(&client, c("kind"), q("kind"), ["x-queue-type", "quorum", "classic"]).await;
    check_mismatch(&client, c("auto"), c("auto").auto_delete(), ["auto_delete", "true", "false"]).await;
    check_mismatch(
        &client,
        c("priority").max_priority(3),
        c("priority").max_priority(4),
        ["x-max-priority", "4", "3"],
    )
    .await;
    check_mismatch(
        &client,
        c("expires").expires(60 * SECONDS),
        c("expires"),
        ["x-expires", "unset", "60000"],
    )
    .await;
    check_mismatch(
        &client,
        q("sac"),
        q("sac").single_active_consumer(),
        ["x-single-active-consumer", "true", "unset"],
    )
    .await;
    let (drop, reject) = (c("full").max_length(1), c("full").max_length(1).overflow(Overflow::RejectPublish));
    check_mismatch(&client, drop, reject, ["x-overflow", "reject-publish", "unset"]).await;
    let dead = c("dead").dead_letter_through("amq.fanout");
    check_mismatch(&client, c("dead"), dead, ["x-dead-letter-exchange", "amq.fanout", "unset"]).await;
    check_mismatch(
        &client,
        q("limit").delivery_limit(3),
        q("limit").delivery_limit(4),
        ["x-delivery-limit", "4", "3"],
    )
    .await;
    client.close().await;
}

#[tokio::test]
async fn an_exchange_with_other_properties_is_a_mismatch_with_both_values() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let apply = async |exchange: Exchange| {
        let topology = Topology::new().exchange(exchange.bound_elsewhere()).external_exchange("amq.fanout");
        client.apply(&topology).await
    };
    apply(Exchange::topic("x")).await.expect("the first is applied");
    let differing = [
        (Exchange::direct("x"), "`type` is declared as direct, but it is topic"),
        (Exchange::topic("x").transient(), "`durable` is declared as false, but it is true"),
        (Exchange::topic("x").internal(), "`internal` is declared as true, but it is false"),
        (
            Exchange::topic("x").alternate("amq.fanout"),
            "`alternate-exchange` is declared as amq.fanout, but it is unset",
        ),
    ];
    for (exchange, expected) in differing {
        let error = apply(exchange).await.expect_err(expected);
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    apply(Exchange::topic("x")).await.expect("the client goes on after a mismatch");
    client.close().await;
}

#[tokio::test]
async fn an_invalid_topology_reaches_no_broker() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = orders().queue(Queue::quorum("q").bind("nobody", "").dead_letter());
    let error = client.apply(&topology).await.expect_err("it is invalid");
    assert_eq!(error.kind(), ErrorKind::InvalidTopology);
    assert_eq!(inventory(&vhost).await, [""; 0]);
    client.close().await;
}

#[tokio::test]
async fn verifying_names_everything_that_is_missing_and_changes_nothing() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    vhost.declare_queue("rest", json!({})).await;
    let before = inventory(&vhost).await;
    let error = client.verify(&orders().external_queue("theirs")).await.expect_err("most of it is missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = "7 of 8 objects do not exist: exchange `rest`, exchange `orders`, exchange `documents`, queue `billing.dlq`, \
        queue `billing`, queue `pdfs`, queue `theirs`; apply the topology or correct the names";
    assert_eq!(error.to_string(), expected);
    assert_eq!(inventory(&vhost).await, before);

    vhost.delete_queue("rest").await;
    client.apply(&orders()).await.expect("it is applied");
    let before = inventory(&vhost).await;
    let verified = client.verify(&orders()).await.expect("everything is there");
    assert_eq!((verified.found.len(), verified.unverified.len()), (7, 4));
    assert!(
        verified.to_string().ends_with("7 found; 4 bindings not verified: AMQP cannot be asked about them"),
        "{verified}"
    );
    assert_eq!(inventory(&vhost).await, before);
    client.close().await;
}

#[tokio::test]
async fn without_its_external_objects_nothing_is_declared() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = orders().external_queue("theirs").external_exchange("theirs");
    let error = client.apply(&topology).await.expect_err("they are missing");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("exchange `theirs`, queue `theirs`"), "{error}");
    assert_eq!(inventory(&vhost).await, [""; 0]);
    client.close().await;
}

#[tokio::test]
async fn a_missing_permission_is_an_error_with_its_object() {
    let vhost = crate::vhost().await;
    let path = format!("/permissions/{0}/{0}", vhost.name());
    let permissions = json!({ "configure": "^(orders|rest)$", "write": ".*", "read": ".*" });
    vhost.admin().put(&path, &permissions).await;
    let client = vhost.connect().await;
    let error = client.apply(&orders()).await.expect_err("`documents` may not be declared");
    assert_eq!(error.kind(), ErrorKind::AccessRefused, "{error}");
    assert!(error.to_string().contains("exchange `documents`"), "{error}");
    client.close().await;
}

#[tokio::test]
async fn an_exclusive_queue_of_another_connection_is_locked() {
    let vhost = crate::vhost().await;
    let (owner, other) = (vhost.connect().await, vhost.connect().await);
    let topology = Topology::new().queue(Queue::classic("q").exclusive());
    owner.apply(&topology).await.expect("it is applied");
    for result in [other.apply(&topology).await.map(drop), other.verify(&topology).await.map(drop)] {
        assert_eq!(result.expect_err("it belongs to the owner").kind(), ErrorKind::Locked);
    }
    owner.close().await;
    other.close().await;
}

fn many_queues() -> Topology {
    (0..30).fold(Topology::new().exchange(Exchange::fanout("x")), |topology, n| {
        let name = garenne_shared::QueueName::try_from(format!("q{n}")).expect("a valid name");
        topology.queue(Queue::classic(name).bind("x", ""))
    })
}

#[tokio::test]
async fn a_connection_lost_meanwhile_is_waited_for() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    let client = Client::connect(vhost.config_through(&proxy)).await.expect("the broker is reachable");
    for (direction, bytes) in [(Direction::ToBroker, 2000), (Direction::ToClient, 1000)] {
        let accepted = proxy.accepted();
        proxy.cut_after(direction, bytes);
        let applied = client.apply(&many_queues()).await.expect("it is applied in spite of the cut");
        assert_eq!(applied.declared.len(), 61);
        assert!(proxy.accepted() > accepted, "the connection was cut");
    }
    assert_eq!(inventory(&vhost).await.len(), 61);
    client.close().await;
}

#[tokio::test]
async fn a_connection_that_does_not_come_back_is_a_transient_error_in_time() {
    let vhost = crate::vhost().await;
    let proxy = vhost.proxy().await;
    let mut config = vhost.config_through(&proxy);
    config.connection.rpc_timeout = SECONDS;
    let client = Client::connect(config).await.expect("the broker is reachable");
    proxy.set_mode(Mode::Refuse);
    proxy.cut();
    let result = tokio::time::timeout(60 * SECONDS, client.apply(&many_queues())).await;
    let error = result.expect("it gives up in time").expect_err("the broker is gone");
    assert!(error.is_transient(), "{:?}: {error}", error.kind());
    proxy.set_mode(Mode::Forward);
    eventually(60 * SECONDS, "the topology is applied", async || client.apply(&many_queues()).await).await;
    client.close().await;
}

#[tokio::test]
async fn a_topology_of_a_file_is_applied() {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = Topology::from_toml(&orders().to_toml().expect("it is written")).expect("it is read");
    let applied = client.apply(&topology).await.expect("it is applied");
    assert!(
        matches!(applied.created().last(), Some(Declaration::Queue(queue)) if queue.name == "pdfs"),
        "{applied}"
    );
    let queue = vhost.queue("pdfs").await.expect("it exists");
    assert_eq!(queue.arguments, [("x-queue-type", "stream")].into_iter().collect());
    client.close().await;
}
