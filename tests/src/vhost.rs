//! A vhost for one test, with a user of its own.

use garenne_management::{
    Management, ManagementError, Observed, ObservedBinding, ObservedChannel, ObservedConnection,
    ObservedConsumer, ObservedQueue,
};
use garenne_shared::Config;
use garenne_transport::Client;
use serde_json::{Value, json};

use crate::{Admin, Broker, Proxy, admin, encode, log, runtime};

/// A virtual host with a random name and a user of the same name; both are deleted when this is dropped.
#[derive(Debug)]
pub struct Vhost {
    name: String,
    host: String,
    address: String,
    management: Management,
    admin: Admin,
    /// `None` on RabbitMQ.
    embedded: Option<garenne_embedded::Broker>,
}

/// The counts of a queue, each `None` while the broker has none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as those of `ObservedQueue`")]
pub struct Counts {
    pub messages: Option<u64>,
    pub ready: Option<u64>,
    pub unacked: Option<u64>,
    pub held: Option<u64>,
    pub consumers: Option<u64>,
}

impl From<ObservedQueue> for Counts {
    fn from(queue: ObservedQueue) -> Self {
        let ObservedQueue { messages, ready, unacked, held, consumers, .. } = queue;
        Self { messages, ready, unacked, held, consumers }
    }
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
        let admin = broker.admin();
        admin.put(&format!("/vhosts/{name}"), &json!({})).await;
        let user = json!({ "password": log::password(), "tags": "management" });
        admin.put(&format!("/users/{name}"), &user).await;
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        for user in [&name, &broker.user] {
            admin.put(&format!("/permissions/{name}/{}", encode(user)), &all).await;
        }
        let (management, admin) = (broker.management.clone(), admin.clone());
        Self { name, host: broker.host.clone(), address: broker.address(), management, admin, embedded: None }
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

    /// Returns the management API to change things with, as the broker's administrator.
    #[must_use]
    pub const fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Reads the management API, as the broker's administrator. Panics if that fails.
    pub async fn read<T: Send + 'static, R>(&self, read: impl FnOnce(Management) -> R) -> T
    where
        R: Future<Output = Result<T, ManagementError>> + Send + 'static,
    {
        admin::read(&self.management, read).await.unwrap_or_else(|error| panic!("{error:?}"))
    }

    /// Reads all that this vhost holds.
    pub async fn observe(&self) -> Observed {
        let name = self.name.clone();
        self.read(async move |management| management.observe(&name).await).await
    }

    /// Returns what the management API says about a queue. Its statistics are half a second old at most.
    pub async fn queue(&self, queue: &str) -> Option<ObservedQueue> {
        let (name, queue) = (self.name.clone(), queue.to_owned());
        self.read(async move |management| management.queue(&name, &queue).await).await
    }

    /// Returns the counts of a queue; nothing is known of a queue that is not there.
    pub async fn counts(&self, queue: &str) -> Counts {
        self.queue(queue).await.map(Counts::from).unwrap_or_default()
    }

    /// Returns how many messages a queue holds, ready and unacknowledged; 0 if there is no such queue.
    pub async fn depth(&self, queue: &str) -> u64 {
        self.counts(queue).await.messages.unwrap_or(0)
    }

    /// Lists the bindings of this vhost.
    pub async fn bindings(&self) -> Vec<ObservedBinding> {
        let name = self.name.clone();
        self.read(async move |management| management.bindings(&name).await).await
    }

    /// Lists the consumers in this vhost.
    pub async fn consumers(&self) -> Vec<ObservedConsumer> {
        let name = self.name.clone();
        self.read(async move |management| management.consumers(&name).await).await
    }

    /// Lists the open connections to this vhost.
    pub async fn connections(&self) -> Vec<ObservedConnection> {
        let name = self.name.clone();
        self.read(async move |management| management.connections(&name).await).await
    }

    /// Lists the open channels of this vhost.
    pub async fn channels(&self) -> Vec<ObservedChannel> {
        let name = self.name.clone();
        self.read(async move |management| management.channels(&name).await).await
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
            self.close_connection(&connection.name).await;
        }
        connections.len()
    }

    /// Closes one connection from the broker's side.
    pub async fn close_connection(&self, name: &str) {
        self.admin.delete(&format!("/connections/{}", encode(name))).await;
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
        self.admin.post(&path, &message).await["routed"].as_bool().unwrap_or(false)
    }

    /// Takes up to `count` messages off a queue, past the framework: objects with `properties`, `payload`, `exchange`,
    /// `routing_key`, `redelivered`.
    pub async fn take_raw(&self, queue: &str, count: u32) -> Vec<Value> {
        let path = format!("/queues/{}/{}/get", self.name, encode(queue));
        let order = json!({ "count": count, "ackmode": "ack_requeue_false", "encoding": "auto" });
        match self.admin.post(&path, &order).await {
            Value::Array(messages) => messages,
            other => panic!("messages were expected, found {other}"),
        }
    }

    /// Deletes a queue past the framework; consumers get a server cancel.
    pub async fn delete_queue(&self, queue: &str) {
        self.admin.delete(&format!("/queues/{}/{}", self.name, encode(queue))).await;
    }

    /// Declares a queue past the framework.
    pub async fn declare_queue(&self, queue: &str, arguments: Value) {
        let body = json!({ "durable": true, "arguments": arguments });
        self.admin.put(&format!("/queues/{}/{}", self.name, encode(queue)), &body).await;
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
        let (name, admin) = (self.name.clone(), self.admin.clone());
        runtime::cleanup(async move {
            admin.try_delete(&format!("/vhosts/{name}")).await;
            admin.try_delete(&format!("/users/{name}")).await;
        });
    }
}
