//! What a topology comes down to: the declarations that are sent to a broker.

use garenne_shared::{ExchangeName, Headers, QueueName, RoutingKey};

/// One thing to declare.
#[derive(Debug, Clone, PartialEq)]
pub enum Declaration {
    /// An `exchange.declare`.
    Exchange(ExchangeDeclaration),
    /// A `queue.declare`.
    Queue(QueueDeclaration),
    /// A `queue.bind` or an `exchange.bind`.
    Binding(Binding),
}

/// The arguments of an `exchange.declare`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExchangeDeclaration {
    /// The exchange.
    pub name: ExchangeName,
    /// Its type as the broker names it, such as `topic` or `x-consistent-hash`.
    pub kind: String,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it goes with its last binding.
    pub auto_delete: bool,
    /// Whether only other exchanges may publish to it.
    pub internal: bool,
    /// Its optional arguments.
    pub arguments: Headers,
}

/// The arguments of a `queue.declare`.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueDeclaration {
    /// The queue.
    pub name: QueueName,
    /// Whether it survives a restart.
    pub durable: bool,
    /// Whether it belongs to this connection alone.
    pub exclusive: bool,
    /// Whether it goes with its last consumer.
    pub auto_delete: bool,
    /// Its optional arguments, `x-queue-type` among them.
    pub arguments: Headers,
}

/// A binding from an exchange to a queue or to another exchange.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: ExchangeName,
    /// Where they go.
    pub destination: Destination,
    /// The binding key.
    pub routing_key: RoutingKey,
    /// Its optional arguments, such as those of a headers exchange.
    pub arguments: Headers,
}

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Destination {
    /// A queue.
    Queue(QueueName),
    /// An exchange.
    Exchange(ExchangeName),
}
