//! Orders to publish: a topic exchange `orders` with the queue `billing` bound for `placed.eu`.

use std::collections::BTreeSet;

use garenne_shared::{ExchangeName, Message, MessageError, MessageType, RoutingKey};
use garenne_tests::{SECONDS, Vhost, eventually};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Is routed to `billing` if its region is `eu`, and to no queue otherwise.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Placed {
    pub(crate) id: u64,
    pub(crate) region: String,
}

impl Message for Placed {
    const TYPE: MessageType = MessageType::from_static("order.placed.v1");
    const EXCHANGE: ExchangeName = ExchangeName::from_static("orders");

    fn routing_key(&self) -> Result<RoutingKey, MessageError> {
        format!("placed.{}", self.region).parse().map_err(|error| MessageError::new(Self::TYPE, error))
    }
}

impl Placed {
    pub(crate) fn in_eu(id: u64) -> Self {
        Self { id, region: "eu".to_owned() }
    }

    pub(crate) fn nowhere(id: u64) -> Self {
        Self { id, region: "nowhere".to_owned() }
    }
}

/// Makes a vhost with the exchange and the queue; the queue has these arguments.
pub(crate) async fn vhost_with_orders(arguments: Value) -> Vhost {
    let vhost = crate::vhost().await;
    let (admin, name) = (vhost.admin(), vhost.name());
    admin.put(&format!("/exchanges/{name}/orders"), &json!({ "type": "topic", "durable": true })).await;
    vhost.declare_queue("billing", arguments).await;
    let binding = json!({ "routing_key": "placed.eu" });
    admin.post(&format!("/bindings/{name}/e/orders/q/billing"), &binding).await;
    vhost
}

/// Waits until `billing` holds at least `count` messages.
pub(crate) async fn billing_holds(vhost: &Vhost, count: u64) {
    eventually(60 * SECONDS, "billing holds the messages", async || match vhost.depth("billing").await {
        depth if depth >= count => Ok(()),
        depth => Err(depth),
    })
    .await;
}

/// Takes everything off `billing` and returns the message ids.
pub(crate) async fn ids_in_billing(vhost: &Vhost) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    loop {
        let messages = vhost.take_raw("billing", 5000).await;
        if messages.is_empty() {
            return ids;
        }
        ids.extend(
            messages
                .iter()
                .filter_map(|message| message["properties"]["message_id"].as_str())
                .map(str::to_owned),
        );
    }
}
