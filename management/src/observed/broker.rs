//! The broker and its nodes.

use std::collections::BTreeSet;

use crate::form;

/// What a broker says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedBroker {
    /// The product, such as `RabbitMQ`.
    pub product: String,
    /// The version of RabbitMQ, such as `4.3.1`.
    pub version: String,
    /// The name of the cluster.
    pub cluster: String,
    /// The node that answered.
    pub node: String,
    /// The types of exchanges that can be declared, as the broker names them: those of plugins tell which are enabled.
    pub exchange_types: BTreeSet<String>,
    /// Where the nodes listen.
    pub listeners: Vec<Listener>,
    /// The alarms that are raised on any node: while there is one, the broker takes no publishes.
    pub alarms: Vec<Alarm>,
}

/// One place where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listener {
    /// The node.
    pub node: String,
    /// The protocol as the broker names it, such as `amqp` or `amqp/ssl`.
    pub protocol: String,
    /// The port.
    pub port: u16,
}

/// A resource that runs out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alarm {
    /// The node.
    pub node: String,
    /// The resource, such as `memory` or `disk`.
    pub resource: String,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObservedNode {
    /// Its name, such as `rabbit@host`.
    pub name: String,
    /// Whether it runs, as the node that answered sees it.
    pub running: bool,
}

// === impl ObservedBroker ===

impl ObservedBroker {
    pub(crate) fn new(overview: form::Overview, alarms: form::Alarms) -> Self {
        Self {
            product: overview.product_name,
            version: overview.rabbitmq_version,
            cluster: overview.cluster_name,
            node: overview.node,
            exchange_types: overview.exchange_types.into_iter().map(|one| one.name).collect(),
            listeners: overview.listeners.into_iter().map(Listener::from).collect(),
            alarms: alarms.alarms.into_iter().map(Alarm::from).collect(),
        }
    }
}

// === impl Listener ===

impl From<form::Listening> for Listener {
    fn from(form: form::Listening) -> Self {
        Self { node: form.node, protocol: form.protocol, port: form.port }
    }
}

// === impl Alarm ===

impl From<form::Alarmed> for Alarm {
    fn from(form: form::Alarmed) -> Self {
        Self { node: form.node, resource: form.resource }
    }
}

// === impl ObservedNode ===

impl From<form::Node> for ObservedNode {
    fn from(form: form::Node) -> Self {
        Self { name: form.name, running: form.running }
    }
}
