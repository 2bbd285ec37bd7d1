//! What a broker holds at one moment, for tests to look at.

mod show;

use std::sync::Arc;
use std::time::Duration;

use amq_protocol::protocol::basic::AMQPProperties;
use amq_protocol::types::FieldTable;
use bytes::Bytes;

pub use crate::core::{Fate, Requeued};

/// Everything that a broker holds at one moment; see [`Broker::state`](crate::Broker::state).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct State {
    /// The time of the broker's clock since it started.
    pub time: Duration,
    /// All queues, by vhost and name.
    pub queues: Vec<QueueState>,
    /// All bindings but those of the default exchange, by vhost, source and destination.
    pub bindings: Vec<BindingState>,
    /// All open connections, the oldest first.
    pub connections: Vec<ConnectionState>,
    /// How many channels have something that an [`AnswerFault`](crate::AnswerFault) holds back; channel 0 of a connection is one, too.
    pub held_channels: u64,
}

impl State {
    /// Returns a queue of the vhost `/`.
    #[must_use]
    pub fn queue(&self, name: &str) -> Option<&QueueState> {
        self.queue_in("/", name)
    }

    /// Returns a queue of a vhost.
    #[must_use]
    pub fn queue_in(&self, vhost: &str, name: &str) -> Option<&QueueState> {
        self.queues.iter().find(|queue| &*queue.vhost == vhost && &*queue.name == name)
    }

    /// Returns how many messages of a queue in the vhost `/` wait for a consumer; 0 if there is no such queue.
    #[must_use]
    pub fn ready(&self, queue: &str) -> u64 {
        self.queue(queue).map_or(0, |queue| queue.ready)
    }

    /// Returns how many messages of a queue in the vhost `/` are delivered and not acknowledged; 0 if there is no such queue.
    #[must_use]
    pub fn unacked(&self, queue: &str) -> u64 {
        self.queue(queue).map_or(0, |queue| queue.unacked)
    }
}

/// A queue at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueueState {
    /// Its vhost.
    pub vhost: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// `classic`, `quorum` or `stream`.
    pub kind: &'static str,
    /// Its arguments.
    pub arguments: FieldTable,
    /// Messages that wait for a consumer.
    pub ready: u64,
    /// Messages that a quorum queue has set aside for their delayed retry.
    pub delayed: u64,
    /// Dead letters that a quorum queue keeps until a queue takes them: at-least-once dead-lettering.
    pub held: u64,
    /// Messages that are delivered and not acknowledged.
    pub unacked: u64,
    /// Its consumers, in the order of their subscription.
    pub consumers: Vec<ConsumerState>,
}

impl QueueState {
    /// Returns how many messages it holds: ready, delayed, held and unacknowledged.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.ready + self.delayed + self.held + self.unacked
    }
}

/// A consumer at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConsumerState {
    /// Its consumer tag.
    pub tag: Arc<str>,
    /// The number of its channel.
    pub channel: u16,
    /// How many deliveries it may hold; 0 is unlimited.
    pub prefetch: u32,
    /// How many deliveries it holds.
    pub unacked: u64,
    /// Whether it gets messages: `false` for one that waits behind a single active consumer.
    pub is_active: bool,
}

/// A binding at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct BindingState {
    /// Its vhost.
    pub vhost: Arc<str>,
    /// The exchange that it leads from.
    pub source: Arc<str>,
    /// The queue or exchange that it leads to.
    pub destination: Arc<str>,
    /// Whether the destination is a queue.
    pub is_queue: bool,
    /// Its routing key.
    pub routing_key: Arc<str>,
    /// Its arguments.
    pub arguments: FieldTable,
}

/// A connection at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionState {
    /// `peer -> broker`, both as address and port.
    pub name: String,
    /// What the client calls itself in its property `connection_name`.
    pub client_name: Option<String>,
    /// Its user.
    pub user: Arc<str>,
    /// Its vhost.
    pub vhost: Arc<str>,
    /// The numbers of its open channels.
    pub channels: Vec<u16>,
}

/// A message that was published, and what became of it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Published {
    /// The exchange; empty for the default exchange.
    pub exchange: Arc<str>,
    /// The routing key; what is not UTF-8 as `\xff`.
    pub routing_key: Arc<str>,
    /// The routing key as it was sent.
    pub routing_key_bytes: Bytes,
    /// The properties as they are delivered. In short strings, what is not UTF-8 is written as `\xff` and cut at 255 bytes; tables in the headers
    /// are told 100 levels deep, and what is deeper as a byte array.
    pub properties: AMQPProperties,
    /// The properties as they are delivered, as they stand in the content header: flags and fields.
    pub properties_bytes: Bytes,
    /// The body.
    pub body: Bytes,
    /// Whether it came back to its publisher as unroutable.
    pub is_returned: bool,
    /// Whether the broker itself published it, as a dead letter.
    pub is_dead_letter: bool,
    /// What became of it in each queue that it reached, in the order of routing.
    pub fates: Vec<(Arc<str>, Fate)>,
    /// Its deliveries that were given back to their queue, the oldest first; at most the latest 100.
    pub requeues: Vec<Requeued>,
}

impl Published {
    /// Returns what became of it in a queue; `None` if it did not reach that queue.
    #[must_use]
    pub fn fate(&self, queue: &str) -> Option<&Fate> {
        self.fates.iter().find(|(name, _)| &**name == queue).map(|(_, fate)| fate)
    }
}
