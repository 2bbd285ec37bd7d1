//! What a broker sends, in the units in which a test asks for it.

#![expect(missing_docs, reason = "the fields and variants are those of the protocol")]

use std::fmt;

use amq_protocol::protocol::{AMQPClass, BasicProperties, channel, connection};

use crate::wire::Table;

/// One thing that the broker sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A protocol header: the broker does not speak the version that was asked for.
    Header([u8; 4]),
    /// A method without content.
    Method(AMQPClass),
    /// A method with its content.
    Content(Box<Content>),
    /// A heartbeat.
    Heartbeat,
    /// The stream has ended.
    Eof,
}

impl Event {
    /// Tells whether the broker ends a channel or the connection with this.
    pub(super) fn closes(&self) -> bool {
        match self {
            Self::Method(
                AMQPClass::Channel(channel::AMQPMethod::Close(_))
                | AMQPClass::Connection(connection::AMQPMethod::Close(_)),
            )
            | Self::Eof => true,
            Self::Header(_) | Self::Method(_) | Self::Content(_) | Self::Heartbeat => false,
        }
    }
}

/// `basic.deliver`, `basic.get-ok` or `basic.return` with its message.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub method: AMQPClass,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

/// A message that a consumer was given.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub tag: u64,
    pub redelivered: bool,
    pub exchange: String,
    pub routing_key: String,
    pub consumer_tag: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

/// A message from `basic.get`.
#[derive(Debug, Clone)]
pub struct Got {
    pub tag: u64,
    pub redelivered: bool,
    pub exchange: String,
    pub routing_key: String,
    /// How many messages are ready in the queue behind this one.
    pub message_count: u32,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

/// A message that came back as unroutable.
#[derive(Debug, Clone)]
pub struct Returned {
    pub code: u16,
    pub text: String,
    pub exchange: String,
    pub routing_key: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

macro_rules! content {
    ($($type:ident)+) => {$(
        impl $type {
            /// Returns the body as text.
            #[must_use]
            pub fn text(&self) -> String {
                String::from_utf8_lossy(&self.body).into_owned()
            }

            /// Returns the headers; a message without any has an empty table.
            #[must_use]
            pub fn headers(&self) -> Table {
                Table(self.properties.headers().clone().unwrap_or_default())
            }
        }
    )+};
}

content!(Delivery Got Returned);

/// What an error ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Channel,
    Connection,
}

/// How the broker closed a channel or the connection.
///
/// Two are equal if scope, code and text are; [`method`](Self::method) is for those that ask. In the text the vhost is `/`
/// and its user `guest`, whatever the names of the test at hand.
#[derive(Clone)]
pub struct Closed {
    pub scope: Scope,
    /// 0 if the stream ended without a word.
    pub code: u16,
    pub text: String,
    /// The class and method that the broker blames; zeros if none.
    pub method: (u16, u16),
}

/// Returns the error of a channel, to compare with.
#[must_use]
pub fn channel_error(code: u16, text: &str) -> Closed {
    Closed { scope: Scope::Channel, code, text: text.to_owned(), method: (0, 0) }
}

/// Returns the error of a connection, to compare with.
#[must_use]
pub fn connection_error(code: u16, text: &str) -> Closed {
    Closed { scope: Scope::Connection, code, text: text.to_owned(), method: (0, 0) }
}

impl PartialEq for Closed {
    fn eq(&self, other: &Self) -> bool {
        (self.scope, self.code, &self.text) == (other.scope, other.code, &other.text)
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match self.scope {
            Scope::Channel => "channel.close",
            Scope::Connection => "connection.close",
        };
        write!(f, "{scope} {} {:?}", self.code, self.text)
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
