//! A vhost for one test, with a user of its own.

use garenne_shared::Config;
use garenne_transport::Client;
use serde_json::{Value, json};

use crate::management::encode;
use crate::{Broker, Proxy, log, runtime};

/// A virtual host with a random name and a user of the same name; both are deleted when this is dropped.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    host: String,
    address: String,
    management: crate::Management,
    /// `None` on RabbitMQ.
    embedded: Option<garenne_embedded::Broker>,
}

impl Vhost {
    /// Makes a vhost on the broker that all tests share.
    pub async fn new() -> Self {
        Self::on(Broker::shared().await).await
    }

    /// Makes a vhost on an embedded broker of its own.
    pub async fn embedded() -> Self {
        log::install();
        let embedded = garenne_embedded::Broker::builder()
            .user("administrator", log::password())
            .management()
            .start()
            .await;
        let embedded = embedded.expect("the embedded broker starts");
        let broker = Broker::embedded(&embedded, "administrator");
        let mut vhost = Self::on(&broker).await;
        vhost.embedded = Some(embedded);
        vhost
    }

    /// Makes a vhost on this broker.
    pub async fn on(broker: &Broker) -> Self {
        let name = format!("t-{}", uuid::Uuid::now_v7().simple());
        let management = broker.management.clone();
        management.put(&format!("/vhosts/{name}"), &json!({})).await;
        let user = json!({ "password": log::password(), "tags": "management" });
        management.put(&format!("/users/{name}"), &user).await;
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        for user in [&name, &broker.user] {
            management.put(&format!("/permissions/{name}/{}", encode(user)), &all).await;
        }
        Self { name, host: broker.host.clone(), address: broker.address(), management, embedded: None }
    }

    /// Returns the name of the vhost, which is also the name of its user.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the URL of the vhost with its user and password.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(&self.address)
    }

    /// Returns the URL of the vhost through a proxy.
    #[must_use]
    pub fn url_through(&self, proxy: &Proxy) -> String {
        self.url_at(&proxy.address().to_string())
    }

    /// Returns the URL of the vhost at `host:port`.
    #[must_use]
    pub fn url_at(&self, address: &str) -> String {
        format!("amqp://{0}:{1}@{address}/{0}", self.name, log::password())
    }

    /// Starts a proxy in front of the broker.
    pub async fn proxy(&self) -> Proxy {
        Proxy::start(self.address.clone()).await.expect("the proxy starts")
    }

    /// Returns the default configuration for this vhost.
    #[must_use]
    pub fn config(&self) -> Config {
        Config::from_url(&self.url()).expect("the fixture's URL is valid")
    }

    /// Returns the default configuration for this vhost through a proxy.
    #[must_use]
    pub fn config_through(&self, proxy: &Proxy) -> Config {
        Config::from_url(&self.url_through(proxy)).expect("the fixture's URL is valid")
    }

    /// Connects with the default configuration.
    pub async fn connect(&self) -> Client {
        Client::connect(self.config()).await.expect("the fixture's broker is reachable")
    }

    /// Returns the management API, as the broker's administrator.
    #[must_use]
    pub const fn management(&self) -> &crate::Management {
        &self.management
    }

    /// Returns what the management API says about a queue. Its statistics are half a second old at most.
    pub async fn queue(&self, queue: &str) -> Option<Value> {
        self.management.get(&format!("/queues/{}/{}", self.name, encode(queue))).await
    }

    /// Returns how many messages a queue holds, ready and unacknowledged; 0 if there is no such queue.
    pub async fn depth(&self, queue: &str) -> u64 {
        self.queue(queue).await.and_then(|queue| queue["messages"].as_u64()).unwrap_or(0)
    }

    /// Lists objects of this vhost: `queues`, `exchanges`, `bindings`, `consumers`; connections and channels by
    /// [`connections`](Self::connections) and [`channels`](Self::channels).
    pub async fn list(&self, objects: &str) -> Vec<Value> {
        match self.management.get(&format!("/{objects}/{}", self.name)).await {
            Some(Value::Array(found)) => found,
            other => panic!("a list of {objects} was expected, found {other:?}"),
        }
    }

    /// Lists the open connections to this vhost.
    pub async fn connections(&self) -> Vec<Value> {
        self.list_in_vhost("connections").await
    }

    /// Lists the open channels of this vhost.
    pub async fn channels(&self) -> Vec<Value> {
        self.list_in_vhost("channels").await
    }

    async fn list_in_vhost(&self, objects: &str) -> Vec<Value> {
        match self.management.get(&format!("/vhosts/{}/{objects}", self.name)).await {
            Some(Value::Array(found)) => found,
            other => panic!("a list of {objects} was expected, found {other:?}"),
        }
    }

    /// Closes every channel of this vhost from the broker's side with 406, as for an unknown delivery tag.
    pub async fn close_channels(&self) {
        if let Some(embedded) = &self.embedded {
            let text = "unknown delivery tag 999999".to_owned();
            embedded.faults().strike(&garenne_embedded::Fault::CloseChannel { code: 406, text });
            return;
        }
        let close = format!(
            "[rabbit_channel_common:do(C, {{'basic.ack', 999999, false}}) || C <- rabbit_channel:list(), \
             rabbit_channel:info(C, [vhost]) =:= [{{vhost, <<\"{}\">>}}]].",
            self.name
        );
        Broker::shared().await.rabbitmqctl(&["eval", &close]).await;
    }

    /// Closes every connection to this vhost from the broker's side (320 `CONNECTION_FORCED`) and returns how many there were.
    pub async fn force_close(&self) -> usize {
        let connections = self.connections().await;
        for connection in &connections {
            let name = connection["name"].as_str().unwrap_or_default();
            self.management.delete(&format!("/connections/{}", encode(name))).await;
        }
        connections.len()
    }

    /// Publishes past the framework: `body` as it is, with these properties (`{"content_type": "..", "headers": {..}}`).
    ///
    /// Returns whether it was routed. An empty exchange is the default exchange.
    pub async fn publish_raw(&self, exchange: &str, key: &str, properties: Value, body: &[u8]) -> bool {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let exchange = if exchange.is_empty() { "amq.default" } else { exchange };
        let path = format!("/exchanges/{}/{}/publish", self.name, encode(exchange));
        let message = json!({
            "properties": properties,
            "routing_key": key,
            "payload": BASE64_STANDARD.encode(body),
            "payload_encoding": "base64",
        });
        self.management.post(&path, &message).await["routed"].as_bool().unwrap_or(false)
    }

    /// Takes up to `count` messages off a queue, past the framework: objects with `properties`, `payload`, `exchange`,
    /// `routing_key`, `redelivered`.
    pub async fn take_raw(&self, queue: &str, count: u32) -> Vec<Value> {
        let path = format!("/queues/{}/{}/get", self.name, encode(queue));
        let order = json!({ "count": count, "ackmode": "ack_requeue_false", "encoding": "auto" });
        match self.management.post(&path, &order).await {
            Value::Array(messages) => messages,
            other => panic!("messages were expected, found {other}"),
        }
    }

    /// Deletes a queue past the framework; consumers get a server cancel.
    pub async fn delete_queue(&self, queue: &str) {
        self.management.delete(&format!("/queues/{}/{}", self.name, encode(queue))).await;
    }

    /// Declares a queue past the framework.
    pub async fn declare_queue(&self, queue: &str, arguments: Value) {
        let body = json!({ "durable": true, "arguments": arguments });
        self.management.put(&format!("/queues/{}/{}", self.name, encode(queue)), &body).await;
    }

    /// Returns the broker's host name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        if self.embedded.is_some() {
            // It ends with everything in it.
            return;
        }
        let (name, management) = (self.name.clone(), self.management.clone());
        runtime::cleanup(async move {
            // A test may have stopped its broker: then there is nothing to delete.
            management.try_request("DELETE", &format!("/vhosts/{name}")).await;
            management.try_request("DELETE", &format!("/users/{name}")).await;
        });
    }
}
