//! What the suites about confirmed publishing share.

use std::time::Duration;

use garenne_shared::{ExchangeName, Outgoing};
use garenne_tests::{SECONDS, Vhost, eventually};
use garenne_transport::{Client, ConfirmChannel, Confirmed, PublishError};
use serde_json::{Value, json};
use tokio::time::timeout;

/// The queue of a test; each test has a vhost of its own.
pub(crate) const QUEUE: &str = "work";

/// The deadline for whatever a healthy broker does at once.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Declares a topic exchange.
pub(crate) async fn exchange(vhost: &Vhost, exchange: &str) {
    let path = format!("/exchanges/{}/{exchange}", vhost.name());
    vhost.admin().put(&path, &json!({ "type": "topic", "durable": true })).await;
}

/// Declares the queue of a test and binds it to an exchange for every key that begins with `in.`.
pub(crate) async fn bound(vhost: &Vhost, exchange: &str, durable: bool, arguments: Value) {
    let (admin, name) = (vhost.admin(), vhost.name());
    let queue = json!({ "durable": durable, "arguments": arguments });
    admin.put(&format!("/queues/{name}/{QUEUE}"), &queue).await;
    self::exchange(vhost, exchange).await;
    let binding = json!({ "routing_key": "in.#" });
    admin.post(&format!("/bindings/{name}/e/{exchange}/q/{QUEUE}"), &binding).await;
}

/// A message for the test's queue through the default exchange.
pub(crate) fn direct(body: impl Into<Vec<u8>>) -> Outgoing {
    Outgoing::new(ExchangeName::DEFAULT, QUEUE, body.into())
}

/// Sends a message and waits for its outcome.
pub(crate) async fn publish(channel: &ConfirmChannel, message: Outgoing) -> Result<Confirmed, PublishError> {
    let outcome = async { channel.send(message).await?.await };
    timeout(SOON, outcome).await.expect("a publish has its outcome in time")
}

/// Waits until no publish is under way.
pub(crate) async fn idle(client: &Client) {
    eventually(SOON, "no place of the window is taken", async || match client.health().unconfirmed {
        0 => Ok(()),
        unconfirmed => Err(unconfirmed),
    })
    .await;
}

/// Waits until the test's queue holds so many messages.
pub(crate) async fn holds(vhost: &Vhost, messages: u64) {
    eventually(60 * SECONDS, "the queue holds them", async || match vhost.depth(QUEUE).await {
        depth if depth == messages => Ok(()),
        depth => Err(depth),
    })
    .await;
}
