//! Messages, and the copies of them that queues hold.

use std::sync::Arc;

use bytes::Bytes;

use super::Millis;
use super::death::Death;
use super::properties::Properties;

/// The name of an exchange, a queue, a vhost or a consumer; cheap to clone.
pub(crate) type Name = Arc<str>;

/// A routing key of a message: any bytes.
pub(crate) type Key = Arc<[u8]>;

/// A message as its publisher sent it, or as dead-lettering rewrote it; all queues that it reached share it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    /// Unique within the broker; a dead-lettered copy is a message of its own.
    pub(crate) id: u64,
    /// The exchange that it was published to; empty for the default exchange.
    pub(crate) exchange: Name,
    /// The routing key of the publish; what `CC` and `BCC` add is in [`Self::keys`].
    pub(crate) routing_key: Key,
    /// Further routing keys: those of the header `CC`, then those of `BCC`, which is no longer in the properties.
    pub(crate) further_keys: Vec<Key>,
    /// The keys of `BCC`, which nobody is told.
    pub(crate) hidden_keys: Vec<Key>,
    /// How it died so far, the latest pair of queue and reason first.
    pub(crate) deaths: Vec<Death>,
    /// How often its delivery failed before it died, which its new queues count on: `mc.erl`, the annotation `delivery_count`.
    pub(crate) failures: u32,
    /// Its properties, as they are delivered.
    pub(crate) properties: Properties,
    /// Its body.
    pub(crate) body: Bytes,
}

impl Message {
    /// Returns every key that it is routed by: the publish's own and those of `CC` and `BCC`.
    ///
    /// <https://www.rabbitmq.com/docs/sender-selected>
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.routing_key).chain(&self.further_keys)
    }

    /// Returns the keys without those of `BCC`, also if one of them is all that a dead letter is routed by: `mc.erl`, `record_death`.
    pub(crate) fn visible_keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.keys().cloned().collect();
        for hidden in &self.hidden_keys {
            if let Some(index) = keys.iter().position(|key| key == hidden) {
                keys.remove(index);
            }
        }
        keys
    }

    /// Returns how much it counts towards `x-max-length-bytes`: its body.
    pub(crate) fn size(&self) -> u64 {
        self.body.len() as u64
    }
}

/// One queue's copy of a message. It is owned by exactly one place at a time: the queue that holds it ready, or the channel
/// that has delivered it and waits for its acknowledgement.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The message.
    pub(crate) message: Arc<Message>,
    /// Its place in the queue: grows with every publish. For a stream this is the offset.
    pub(crate) position: u64,
    /// When it expires, if it does: fixed when it was enqueued.
    pub(crate) expires_at: Option<Millis>,
    /// Whether it expires 1 ms later than its time to live says, so that a consumer may take it at once. A delivery ends that.
    pub(crate) has_grace: bool,
    /// Its priority, already clamped to what the queue knows.
    pub(crate) priority: u8,
    /// How often it has been handed out (`x-acquired-count` of quorum queues).
    pub(crate) acquired: u32,
    /// How many deliveries failed (`x-delivery-count` of quorum queues).
    pub(crate) failures: u32,
    /// Whether a delivery carries the flag `redelivered`.
    pub(crate) redelivered: bool,
}
