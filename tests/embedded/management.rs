//! The management API of the embedded broker: what tools read and change, as on RabbitMQ.

use garenne_tests::wire::{Binding, Wire};
use garenne_tests::{Vhost, table};
use garenne_topology::{Exchange, Queue, Topology};
use serde_json::{Value, json};

use crate::publishing::{direct, publish};

/// A vhost with an exchange, a bound queue and a consumer.
async fn shop() -> (Vhost, garenne_transport::Client) {
    let vhost = crate::vhost().await;
    let client = vhost.connect().await;
    let topology = Topology::new()
        .exchange(Exchange::topic("orders"))
        .queue(Queue::quorum("work").bind("orders", "order.#").max_length(100));
    client.apply(&topology).await.expect("it is declared");
    (vhost, client)
}

/// Gets an object as the API writes it.
async fn get(vhost: &Vhost, path: &str) -> Value {
    let (status, answer) = vhost.admin().request("GET", path, None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[tokio::test]
async fn the_overview_counts_what_there_is() {
    let (vhost, client) = shop().await;
    publish(&client.confirm_channel(), direct("message")).await.expect("it is routed");
    let overview = get(&vhost, "/overview").await;
    assert_eq!(overview["queue_totals"]["messages"], 1);
    assert_eq!(overview["object_totals"]["queues"], 1);
    client.close().await;
}

#[tokio::test]
async fn health_checks_answer_as_on_rabbitmq() {
    let (vhost, client) = shop().await;
    let port = get(&vhost, "/overview").await["listeners"][0]["port"].clone();
    assert_eq!(get(&vhost, "/health/checks/alarms").await["status"], "ok");
    assert_eq!(get(&vhost, &format!("/health/checks/port-listener/{port}")).await["port"], port);
    for (check, expected) in [("port-listener/1", 503), ("port-listener/x", 400), ("nonsense", 404)] {
        let (status, _) = vhost.admin().request("GET", &format!("/health/checks/{check}"), None).await;
        assert_eq!(status, expected, "{check}");
    }
    client.close().await;
}

#[tokio::test]
async fn a_policy_is_set_and_deleted_over_http() {
    let (vhost, client) = shop().await;
    for n in 0..5_u32 {
        publish(&client.confirm_channel(), direct(n.to_string())).await.expect("it is routed");
    }
    let path = format!("/policies/{}/short", vhost.name());
    let policy = json!({ "pattern": "^work$", "apply-to": "queues", "definition": { "max-length": 2 } });
    vhost.admin().put(&path, &policy).await;
    assert_eq!(vhost.depth("work").await, 2, "the oldest are dropped at once");
    let queue = vhost.queue("work").await.expect("it is there");
    assert_eq!((queue.policy.as_deref(), queue.effective_policy.int("max-length")), (Some("short"), Some(2)));
    let found = get(&vhost, &path).await;
    assert_eq!((&found["apply-to"], &found["priority"]), (&json!("queues"), &json!(0)));
    assert!(vhost.admin().delete(&path).await);
    assert_eq!(vhost.queue("work").await.expect("it is there").policy, None);
    client.close().await;
}

#[tokio::test]
async fn a_policy_that_cannot_be_is_refused_in_the_words_of_rabbitmq() {
    let vhost = crate::vhost().await;
    let path = format!("/policies/{}/wrong", vhost.name());
    let policy = json!({ "pattern": "^work$", "definition": { "max-length": 2 } });
    for (key, value, why) in [
        ("priority", json!("5"), "priority should be a number, actually was <<\"5\">>"),
        ("pattern", json!(1), "pattern should be a binary but was 1"),
        ("apply-to", json!("topics"), "apply-to 'topics' unrecognised; should be one of: 'queues'"),
        ("definition", json!({ "max-length": "x" }), "<<\"x\">> is not a valid maximum length"),
    ] {
        let mut wrong = policy.clone();
        wrong[key] = value;
        let (status, answer) = vhost.admin().request("PUT", &path, Some(&wrong)).await;
        let reason = answer["reason"].as_str().expect("it says why");
        assert_eq!(
            (status, reason.split('\n').nth(2).map(|line| line.starts_with(why))),
            (400, Some(true)),
            "{reason}"
        );
    }
    assert_eq!(vhost.observe().await.policies, []);
}

#[tokio::test]
async fn definitions_of_one_broker_are_imported_by_another() {
    let (one, client) = shop().await;
    let policy = json!({ "pattern": "^w", "apply-to": "queues", "definition": { "message-ttl": 60_000 } });
    one.admin().put(&format!("/policies/{}/brief", one.name()), &policy).await;
    let mut definitions = get(&one, "/definitions").await;
    // Passwords are not exported, so the users come without the import.
    definitions["users"] = json!([]);
    definitions["permissions"] = json!([]);

    let other = crate::vhost().await;
    let (status, answer) = other.admin().request("POST", "/definitions", Some(&definitions)).await;
    assert_eq!(status, 204, "{answer}");
    let queue = get(&other, &format!("/queues/{}/work", one.name())).await;
    assert_eq!((&queue["arguments"]["x-max-length"], &queue["policy"]), (&json!(100), &json!("brief")));
    let bindings = get(&other, &format!("/queues/{}/work/bindings", one.name())).await;
    assert_eq!(
        bindings.as_array().map(Vec::len),
        Some(2),
        "its own and that of the default exchange: {bindings}"
    );

    definitions["queues"][0]["arguments"] = json!({ "x-queue-type": "quorum", "x-max-length": -1 });
    definitions["queues"][0]["name"] = json!("bad");
    let (status, answer) = other.admin().request("POST", "/definitions", Some(&definitions)).await;
    assert_eq!(status, 400);
    assert!(answer["reason"].as_str().is_some_and(|reason| reason.contains("x-max-length")), "{answer}");
    client.close().await;
}

#[tokio::test]
async fn a_single_binding_is_found_by_its_key_and_removed() {
    let (vhost, client) = shop().await;
    let admin = vhost.admin();
    let path = format!("/bindings/{}/e/amq.headers/q/work", vhost.name());
    for region in ["eu", "us"] {
        admin.post(&path, &json!({ "routing_key": "k", "arguments": { "region": region } })).await;
    }
    admin.post(&path, &json!({ "routing_key": "" })).await;
    let keys = async || {
        let bindings = get(&vhost, &path).await;
        let bindings = bindings.as_array().expect("a list").clone();
        bindings
            .into_iter()
            .map(|binding| {
                let key = binding["properties_key"].as_str().expect("each has its key").to_owned();
                (key, binding["arguments"]["region"].clone())
            })
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let found = keys().await;
    assert_eq!((found.len(), &found["~"]), (3, &json!(null)), "{found:?}");
    let (eu, _) = found.iter().find(|(_, region)| **region == "eu").expect("it is one of them");
    let one = get(&vhost, &format!("{path}/{eu}")).await;
    assert_eq!((&one["routing_key"], &one["arguments"]["region"]), (&json!("k"), &json!("eu")));
    assert!(admin.delete(&format!("{path}/{eu}")).await);
    assert!(admin.delete(&format!("{path}/~")).await);
    assert!(!admin.delete(&format!("{path}/~")).await, "it is gone");
    assert_eq!(keys().await.into_values().collect::<Vec<_>>(), ["us"]);
    // A client's numbers have types that JSON does not have.
    let mut wire = Wire::connect(&vhost.url()).await;
    wire.open_channel(1).await;
    let binding = Binding::new("amq.headers", "small", "work").arguments(table! { "region" => 7_i8 });
    wire.bind_with(1, binding).await;
    let found = keys().await;
    let (small, _) = found.iter().find(|(_, region)| **region == 7).expect("it is one of them");
    assert!(admin.delete(&format!("{path}/{small}")).await);
    assert_eq!(keys().await.len(), 1, "it is gone");
    client.close().await;
}

#[tokio::test]
async fn connections_channels_and_consumers_are_told_and_a_connection_is_closed() {
    let (vhost, client) = shop().await;
    let mut subscriber = client
        .subscribe(garenne_transport::Subscription::new("work").prefetch(7))
        .await
        .expect("the queue is there");
    let [consumer] = &vhost.consumers().await[..] else { panic!("one consumer is there") };
    assert_eq!((consumer.queue.as_str(), consumer.prefetch), ("work", 7));
    assert_eq!(vhost.channels().await.len(), vhost.connections().await.len(), "a channel each");
    let mut events = client.events();
    assert_eq!(vhost.force_close().await, 1);
    events.next().await.expect("the client notices");
    publish(&client.confirm_channel(), direct("again")).await.expect("it comes back");
    subscriber.next().await.expect("and consumes").unsettled.settle(garenne_transport::Settlement::Ack);
    client.close().await;
}

#[tokio::test]
async fn strangers_and_wrong_requests_get_clear_answers() {
    let (vhost, client) = shop().await;
    let policy = &format!("/policies/{}/p", vhost.name());
    for (method, path, body, expected) in [
        ("GET", "/nonsense", None, 404),
        ("PATCH", "/overview", None, 405),
        ("PUT", "/users/bob", Some(json!({ "tags": "" })), 400),
        ("PUT", "/policies/none/p", Some(json!({ "pattern": ".*", "definition": { "max-length": 1 } })), 404),
        ("PUT", policy, Some(json!({ "pattern": "(", "definition": { "max-length": 1 } })), 400),
        ("POST", "/queues/none/none/get", Some(json!({ "ackmode": "ack_requeue_true", "count": 1 })), 404),
        ("POST", "/queues/none/none/get", Some(json!({ "ackmode": "maybe", "count": 1 })), 400),
    ] {
        let (status, answer) = vhost.admin().request(method, path, body.as_ref()).await;
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer["reason"].is_string(), "{method} {path}: {answer}");
    }
    client.close().await;
}

#[tokio::test]
async fn a_taken_port_of_the_management_api_is_named() {
    let broker = garenne_embedded::Broker::builder().management().start().await.expect("the broker starts");
    let port = broker.management_address().expect("it was asked for").port();
    let second = garenne_embedded::Broker::builder().management_port(port).start().await;
    let error = second.expect_err("two cannot have one port").to_string();
    assert!(error.contains(&port.to_string()) && error.contains("choose another"), "{error}");
}

#[tokio::test]
async fn a_connection_tells_its_ends_and_what_was_agreed_on() {
    let (vhost, client) = shop().await;
    let wire = Wire::connect(&vhost.url()).await;
    let path = format!("/vhosts/{}/connections", vhost.name());
    let connections = get(&vhost, &path).await;
    let found = connections
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["timeout"] == 0)
        .expect("the raw client asked for no heartbeat");
    let name = format!(
        "{}:{} -> {}:{}",
        found["peer_host"].as_str().expect("a host"),
        found["peer_port"],
        found["host"].as_str().expect("a host"),
        found["port"]
    );
    assert_eq!(found["name"], name);
    assert_eq!((&found["channel_max"], &found["frame_max"]), (&json!(2047), &json!(131_072)));
    assert!(found["connected_at"].as_u64().is_some_and(|at| at > 1_700_000_000_000), "{found}");
    wire.close().await;
    client.close().await;
}

#[tokio::test]
async fn tracing_is_refused_by_name() {
    let (vhost, client) = shop().await;
    let traced = json!({ "tracing": true });
    let (status, body) = vhost.admin().request("PUT", "/vhosts/traced", Some(&traced)).await;
    assert!(status == 400 && body.to_string().contains("`tracing` of vhost `traced`"), "{status}: {body}");
    let found = vhost.read(async |management| management.vhost("traced").await).await;
    assert_eq!(found, None);
    client.close().await;
}
