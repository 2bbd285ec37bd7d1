//! What the API answers, as it is written there: <https://www.rabbitmq.com/docs/http-api-reference>.
//!
//! Fields that a broker leaves out (statistics that are not there yet, a queue whose node is down) have a default.

use garenne_shared::Headers;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Overview {
    #[serde(default)]
    pub(crate) product_name: String,
    pub(crate) rabbitmq_version: String,
    #[serde(default)]
    pub(crate) cluster_name: String,
    #[serde(default)]
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) exchange_types: Vec<Named>,
    #[serde(default)]
    pub(crate) listeners: Vec<Listening>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Named {
    #[serde(default)]
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Listening {
    #[serde(default)]
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) protocol: String,
    #[serde(default)]
    pub(crate) port: u16,
}

/// The answer of a health check that failed.
#[derive(Debug, Deserialize)]
pub(crate) struct Alarms {
    #[serde(default)]
    pub(crate) alarms: Vec<Alarmed>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Alarmed {
    #[serde(default)]
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) resource: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) running: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Vhost {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) default_queue_type: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) durable: bool,
    #[serde(default)]
    pub(crate) auto_delete: bool,
    #[serde(default)]
    pub(crate) internal: bool,
    #[serde(default, deserialize_with = "table")]
    pub(crate) arguments: Headers,
    #[serde(default)]
    pub(crate) policy: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Queue {
    pub(crate) name: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) durable: bool,
    #[serde(default)]
    pub(crate) exclusive: bool,
    #[serde(default)]
    pub(crate) auto_delete: bool,
    #[serde(default, deserialize_with = "table")]
    pub(crate) arguments: Headers,
    #[serde(default)]
    pub(crate) policy: Option<String>,
    #[serde(default)]
    pub(crate) operator_policy: Option<String>,
    #[serde(default, deserialize_with = "table")]
    pub(crate) effective_policy_definition: Headers,
    #[serde(default)]
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) messages: Option<u64>,
    #[serde(default)]
    pub(crate) messages_ready: Option<u64>,
    #[serde(default)]
    pub(crate) messages_unacknowledged: Option<u64>,
    #[serde(default)]
    pub(crate) messages_dlx: Option<u64>,
    #[serde(default)]
    pub(crate) consumers: Option<u64>,
    #[serde(default)]
    pub(crate) leader: Option<String>,
    #[serde(default)]
    pub(crate) online: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Binding {
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) destination_type: String,
    #[serde(default)]
    pub(crate) routing_key: String,
    #[serde(default, deserialize_with = "table")]
    pub(crate) arguments: Headers,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) pattern: String,
    #[serde(rename = "apply-to")]
    pub(crate) apply_to: String,
    #[serde(default)]
    pub(crate) priority: i64,
    #[serde(default, deserialize_with = "table")]
    pub(crate) definition: Headers,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Connection {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) node: String,
    #[serde(default)]
    pub(crate) user: String,
    #[serde(default)]
    pub(crate) user_provided_name: Option<String>,
    #[serde(default)]
    pub(crate) state: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Channel {
    #[serde(default)]
    pub(crate) number: u16,
    #[serde(default, deserialize_with = "part")]
    pub(crate) connection_details: Option<Named>,
    #[serde(default)]
    pub(crate) messages_unacknowledged: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Consumer {
    pub(crate) consumer_tag: String,
    pub(crate) queue: Named,
    #[serde(default, deserialize_with = "part")]
    pub(crate) channel_details: Option<OnConnection>,
    #[serde(default)]
    pub(crate) ack_required: bool,
    #[serde(default)]
    pub(crate) exclusive: bool,
    #[serde(default)]
    pub(crate) prefetch_count: u32,
    #[serde(default)]
    pub(crate) active: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OnConnection {
    #[serde(default)]
    pub(crate) connection_name: String,
}

/// Reads a part that a broker may not know: then it is an empty list, or null.
fn part<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Array(list) if list.is_empty() => Ok(None),
        value => T::deserialize(value).map(Some).map_err(D::Error::custom),
    }
}

/// Reads a table. An empty one may come as an empty list: it is both in Erlang.
fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Headers, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Headers::new()),
        Value::Array(list) if list.is_empty() => Ok(Headers::new()),
        value => Headers::deserialize(value).map_err(D::Error::custom),
    }
}
