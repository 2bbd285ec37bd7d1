//! What the core knows about one connection.

use std::collections::HashMap;

use amq_protocol::protocol::connection::TuneOk;
use amq_protocol::types::{AMQPValue, FieldTable};

use super::channel::Channel;
use super::effect::Opening;
use super::{ChannelId, Name, table};

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) user: Name,
    pub(crate) vhost: Name,
    /// `peer -> broker`, both as address and port.
    pub(crate) name: String,
    pub(crate) client_properties: FieldTable,
    /// What was agreed on.
    #[cfg_attr(not(feature = "management"), expect(dead_code, reason = "only the management API asks"))]
    pub(crate) tuned: TuneOk,
    /// Milliseconds since 1970.
    #[cfg_attr(not(feature = "management"), expect(dead_code, reason = "only the management API asks"))]
    pub(crate) connected_at: u64,
    pub(crate) channels: HashMap<ChannelId, Channel>,
    /// Whether its client cannot take more deliveries now.
    pub(crate) is_full: bool,
    /// Whether it has published: only such connections are told about `connection.blocked`.
    pub(crate) has_published: bool,
}

impl Connection {
    pub(crate) fn new(opening: Opening, connected_at: u64) -> Self {
        let Opening { user, vhost, name, client_properties, tuned, .. } = opening;
        Self {
            user,
            vhost,
            name,
            client_properties,
            tuned,
            connected_at,
            channels: HashMap::new(),
            is_full: false,
            has_published: false,
        }
    }

    /// Returns what the client calls itself.
    pub(crate) fn client_name(&self) -> Option<&str> {
        client_name(&self.client_properties)
    }

    /// Returns whether the client told that it has a capability: <https://www.rabbitmq.com/docs/consumer-cancel>.
    pub(crate) fn has_capability(&self, name: &str) -> bool {
        match self.client_properties.inner().get("capabilities") {
            Some(AMQPValue::FieldTable(table)) => table.inner().get(name) == Some(&AMQPValue::Boolean(true)),
            _ => false,
        }
    }
}

/// Returns the name that a client tells of itself: <https://www.rabbitmq.com/docs/connections#client-provided-names>.
pub(crate) fn client_name(client_properties: &FieldTable) -> Option<&str> {
    table::get_string(client_properties, "connection_name")
}
