//! What goes into the core and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::TuneOk;
use amq_protocol::types::FieldTable;
use bytes::Bytes;

use super::properties::Properties;
use super::{AmqpError, ChannelId, Key, Message, Millis, Name};

/// A connection that has authenticated itself and asks for a vhost.
#[derive(Debug)]
pub(crate) struct Opening {
    /// The user that it authenticated as.
    pub(crate) user: Name,
    /// The vhost that it asks for.
    pub(crate) vhost: Name,
    /// `peer -> broker`, both as address and port.
    pub(crate) name: String,
    /// What the client told about itself, with its capabilities.
    pub(crate) client_properties: FieldTable,
    /// What was agreed on.
    pub(crate) tuned: TuneOk,
    /// When it asks.
    pub(crate) at: Millis,
}

/// A complete command on an open channel.
#[derive(Debug)]
pub(crate) enum Command {
    /// Any method without content.
    Method(AMQPClass),
    /// `basic.publish` with its content.
    Publish {
        /// The method.
        method: PublishMethod,
        /// The properties of its content header.
        properties: Properties,
        /// The body, put together from its frames.
        body: Bytes,
    },
}

/// `basic.publish`. RabbitMQ asks nothing of its names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishMethod {
    /// The exchange.
    pub(crate) exchange: Box<[u8]>,
    /// The routing key.
    pub(crate) routing_key: Key,
    /// Whether the message comes back if no queue takes it.
    pub(crate) mandatory: bool,
    /// Not implemented.
    pub(crate) immediate: bool,
}

/// A method that carries a message; exchange and routing key are the message's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// `basic.deliver`.
    Deliver {
        /// The consumer.
        consumer_tag: Name,
        /// Numbers the deliveries of the channel.
        delivery_tag: u64,
        /// Whether it was delivered before.
        redelivered: bool,
    },
    /// `basic.get-ok`.
    GetOk {
        /// Numbers the deliveries of the channel.
        delivery_tag: u64,
        /// Whether it was delivered before.
        redelivered: bool,
        /// How many are ready behind it.
        message_count: u32,
    },
    /// `basic.return`.
    Return {
        /// Why, as a number.
        reply_code: u16,
        /// Why, in words.
        reply_text: &'static str,
    },
}

/// What the shell has to write to a connection.
#[derive(Debug)]
pub(crate) enum Output {
    /// A method without content.
    Method(ChannelId, AMQPClass),
    /// A method with content: `basic.deliver`, `basic.get-ok` or `basic.return`.
    Content {
        /// The channel.
        channel: ChannelId,
        /// The method.
        carrier: Carrier,
        /// The message with its body.
        message: Arc<Message>,
        /// Goes out instead of the message's own properties.
        properties: Option<Properties>,
    },
    /// The broker closes a channel that did nothing wrong just now: a timeout, or a fault that a test asked for.
    CloseChannel(ChannelId, AmqpError),
    /// The broker closes the connection.
    CloseConnection(AmqpError),
    /// A fault: the TCP connection is reset.
    Cut,
    /// A fault: nothing is read or written any more, and the TCP connection stays open.
    Mute,
    /// A fault: what the client sends is read and not handled any more.
    Swallow,
    /// A fault: nothing is read for so long.
    PauseReading(Duration),
    /// A fault: nothing is read until the connection is unblocked.
    Block(bool),
}
