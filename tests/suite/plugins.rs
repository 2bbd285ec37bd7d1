//! A broker that lacks a plugin.

use garenne_tests::{OwnBroker, Vhost};
use garenne_topology::{Exchange, Topology};
use garenne_transport::{Client, ErrorKind};

use crate::topology::orders;

#[tokio::test]
async fn a_missing_plugin_is_named_and_the_client_goes_on() {
    let broker = OwnBroker::start().await;
    broker.disable_plugin("rabbitmq_consistent_hash_exchange").await;
    let vhost = Vhost::on(&broker).await;
    let client = vhost.connect().await;
    check_plugin_missing(&client).await;
    // A broker that never had it answers otherwise: it closes the connection.
    broker.stop().await;
    broker.start_again().await;
    check_plugin_missing(&client).await;
    // The broker closes the connection over the one and does not name it: the other is not blamed.
    let good = Topology::new().exchange(Exchange::topic("good").bound_elsewhere());
    for _ in 0..20 {
        let (_, applied) = tokio::join!(check_plugin_missing(&client), client.apply(&good));
        applied.expect("nothing is wrong with this one");
    }
    client.apply(&orders()).await.expect("another topology is applied on a new connection");
    client.close().await;
}

async fn check_plugin_missing(client: &Client) {
    let hash = Topology::new().exchange(Exchange::consistent_hash("h").bound_elsewhere());
    let error = client.apply(&hash).await.expect_err("the plugin is disabled");
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    let expected = "the broker does not know the type x-consistent-hash of exchange `h`; \
        enable the plugin rabbitmq_consistent_hash_exchange";
    assert_eq!(error.to_string(), expected);
}
