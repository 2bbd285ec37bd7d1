//! Publishing.

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame};
use amq_protocol::protocol::{BasicProperties, basic};

use crate::wire::{IntoValue, Method, Table, Wire};

/// What a frame takes besides its payload.
const FRAME_OVERHEAD: usize = 8;

/// A message to publish: transient, without properties, unless it says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    /// The method, with exchange, routing key and flags.
    pub publish: basic::Publish,
    /// The properties, headers among them.
    pub properties: BasicProperties,
    /// The body, in as many frames as it needs.
    pub body: Vec<u8>,
}

impl Draft {
    /// A message for an exchange with a routing key.
    #[must_use]
    pub fn to(exchange: &str, routing_key: &str) -> Self {
        Self {
            publish: basic::Publish {
                exchange: exchange.into(),
                routing_key: routing_key.into(),
                ..basic::Publish::default()
            },
            ..Self::default()
        }
    }

    /// A message for a queue, by the default exchange.
    #[must_use]
    pub fn to_queue(queue: &str) -> Self {
        Self::to("", queue)
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Asks for the message back if no queue takes it.
    #[must_use]
    pub fn mandatory(mut self) -> Self {
        self.publish.mandatory = true;
        self
    }

    /// Changes the properties: `.properties(|p| p.with_priority(5))`.
    #[must_use]
    pub fn properties(mut self, change: impl FnOnce(BasicProperties) -> BasicProperties) -> Self {
        self.properties = change(self.properties);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(self, key: &str, value: impl IntoValue) -> Self {
        let headers = Table(self.properties.headers().clone().unwrap_or_default()).with(key, value);
        self.headers(headers)
    }

    /// Replaces the headers.
    #[must_use]
    pub fn headers(self, headers: Table) -> Self {
        self.properties(|properties| properties.with_headers(headers.into()))
    }

    /// Sets the time to live, in milliseconds.
    #[must_use]
    pub fn expiration(self, milliseconds: &str) -> Self {
        self.properties(|properties| properties.with_expiration(milliseconds.into()))
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(self, priority: u8) -> Self {
        self.properties(|properties| properties.with_priority(priority))
    }
}

impl Wire {
    /// Publishes a body.
    pub async fn publish(&mut self, channel: u16, exchange: &str, routing_key: &str, body: &str) {
        self.publish_draft(channel, Draft::to(exchange, routing_key).body(body)).await;
    }

    /// Publishes a message.
    pub async fn publish_draft(&mut self, channel: u16, draft: Draft) {
        self.send(channel, draft.publish.class()).await;
        let body_size = draft.body.len() as u64;
        let header = AMQPContentHeader { class_id: 60, body_size, properties: draft.properties };
        self.send_frame(&AMQPFrame::Header(channel, header)).await;
        for part in draft.body.chunks(self.frame_max as usize - FRAME_OVERHEAD) {
            self.send_frame(&AMQPFrame::Body(channel, part.to_vec())).await;
        }
    }
}
