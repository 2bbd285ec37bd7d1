//! A queue: what it holds, who reads it, and what becomes of each message.

mod consumers;
mod delayed;
mod held;
mod lifetime;
mod limits;
mod parts;
mod ready;
mod settings;
mod settle;
mod stream;
mod stream_properties;
mod subscribe;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub(crate) use self::consumers::{Consumer, Subscription};
pub(crate) use self::parts::{
    Assignment, Counts, Declaration, Discard, Progress, Publish, QueueKind, Reason, Return,
};
pub(crate) use self::settings::{Overflow, Settings, duration};

use self::consumers::Consumers;
use self::delayed::Delayed;
use self::ready::{Expiry, Ready};
use self::stream::Stream;
use super::field::Field;
use super::properties::{Edit, Properties, Property};
use super::publish::expiration;
use super::{AmqpError, Entry, Message, Millis, Name};

/// Quorum queues serve 32 priorities; a message without one has the fifth: <https://www.rabbitmq.com/docs/quorum-queues#priorities>.
const QUORUM_MAX_PRIORITY: u8 = 31;
const QUORUM_DEFAULT_PRIORITY: u8 = 4;

/// A queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) declaration: Declaration,
    pub(crate) settings: Settings,
    /// The policy that applies to it.
    pub(crate) policy: Option<Name>,
    ready: Ready,
    delayed: Delayed,
    /// Dead letters that their queues did not take yet, and when they are tried again.
    held: Vec<(Millis, Discard)>,
    held_bytes: u64,
    stream: Stream,
    consumers: Consumers,
    next_position: u64,
    unacked: u64,
    /// How many of the unacknowledged deliveries `basic.get` made.
    got: u64,
    /// Whether a full quorum queue refuses until it is down to 80 %.
    is_refusing: bool,
    /// Whether something came back that the limits may not allow, once no more can be delivered.
    is_trim_due: bool,
    last_used: Millis,
}

impl Queue {
    pub(crate) fn new(now: Millis, declaration: Declaration, settings: Settings) -> Self {
        let is_quorum = declaration.kind == QueueKind::Quorum;
        let highest = if is_quorum { QUORUM_MAX_PRIORITY } else { settings.max_priority.unwrap_or(0) };
        Self {
            ready: Ready::new(highest, if is_quorum { Expiry::EachPriority } else { Expiry::Head }),
            delayed: Delayed::default(),
            held: Vec::new(),
            held_bytes: 0,
            stream: Stream::default(),
            consumers: Consumers::new(is_quorum, settings.single_active_consumer),
            next_position: 0,
            unacked: 0,
            got: 0,
            is_refusing: false,
            is_trim_due: false,
            last_used: now,
            policy: None,
            declaration,
            settings,
        }
    }

    fn is_quorum(&self) -> bool {
        self.declaration.kind == QueueKind::Quorum
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.declaration.kind == QueueKind::Stream
    }

    /// Applies other settings to what is there: a policy changed. What is there keeps the time to live that it came with
    /// (`rabbit_amqqueue_process.erl`, `message_properties`), and a quorum queue the time of its last use (`rabbit_fifo.erl`,
    /// `update_config`).
    pub(crate) fn set_settings(&mut self, now: Millis, settings: Settings, discards: &mut Vec<Discard>) {
        let overflow = settings.overflow;
        let earlier = std::mem::replace(&mut self.settings, settings).overflow;
        if !self.is_quorum() {
            self.last_used = now;
            // The lengths come before what to do about them: `rabbit_amqqueue_process.erl`, `process_args_policy`.
            self.settings.overflow = earlier;
            self.trim(now, discards);
            self.settings.overflow = overflow;
        }
        self.review_held(discards);
        self.drop_expired(now, discards);
        self.trim(now, discards);
        self.make_room();
    }

    /// Enqueues a message. `is_tracked` is whether its sender waits for what becomes of it.
    pub(crate) fn publish(
        &mut self,
        now: Millis,
        message: Arc<Message>,
        is_tracked: bool,
        discards: &mut Vec<Discard>,
    ) -> Publish {
        if self.is_stream() {
            self.stream.append(now, message);
            self.trim(now, discards);
            return Publish::Stored;
        }
        let mut entry = self.entry(now, message);
        if self.refuses(&entry, is_tracked) {
            if self.settings.overflow == Overflow::RejectPublishDlx {
                discards.push(Discard::new(entry, Reason::MaxLen));
            }
            return Publish::Refused;
        }
        let leaves_at_once = self.ready.is_empty() && self.consumers.has_taker();
        if leaves_at_once || self.is_quorum() {
            // A time to live of 0 lets it pass if it is consumed at once: `rabbit_amqqueue_process.erl`, `attempt_delivery`;
            // `rabbit_fifo.erl`, `update_expiry_header`.
            entry.has_grace = entry.expires_at.is_some_and(|at| at <= now);
            entry.expires_at = entry.expires_at.map(|at| at.max(now + 1));
        }
        if leaves_at_once && !self.is_quorum() {
            // A classic queue looks at what a message went through before only when it has to keep it.
            entry.redelivered = false;
        }
        self.ready.push(entry);
        if !leaves_at_once {
            self.trim(now, discards);
        }
        Publish::Stored
    }

    fn entry(&mut self, now: Millis, message: Arc<Message>) -> Entry {
        let position = self.next_position;
        self.next_position += 1;
        let given = message.properties.octet(Property::Priority);
        let priority = if self.is_quorum() {
            given.unwrap_or(QUORUM_DEFAULT_PRIORITY).min(QUORUM_MAX_PRIORITY)
        } else {
            given.unwrap_or(0).min(self.settings.max_priority.unwrap_or(0))
        };
        Entry {
            position,
            expires_at: expiry(now, expiration(&message.properties), self.settings.message_ttl),
            has_grace: false,
            priority,
            acquired: 0,
            failures: message.failures,
            // A dead message that failed before was delivered before: `rabbit_variable_queue.erl`; `rabbit_fifo_client.erl`,
            // `add_delivery_count_header`.
            redelivered: message.failures > 0,
            message,
        }
    }

    /// Returns the next message for the next consumer with credit.
    pub(crate) fn assign(&mut self, now: Millis, discards: &mut Vec<Discard>) -> Option<Assignment> {
        if self.is_stream() {
            let stream = &self.stream;
            let (consumer, no_ack) = self.consumers.next(|key| stream.has_next(key))?;
            let entry = self.stream.read(&consumer)?;
            self.unacked += u64::from(!no_ack);
            return Some(Assignment { consumer, no_ack, entry });
        }
        self.drop_expired(now, discards);
        let next = if self.ready.is_empty() { None } else { self.consumers.next(|_| true) };
        if next.is_none() && std::mem::take(&mut self.is_trim_due) {
            self.trim(now, discards);
        }
        let (consumer, no_ack) = next?;
        let entry = self.ready.pop()?;
        self.unacked += u64::from(!no_ack);
        self.make_room();
        Some(Assignment { consumer, no_ack, entry })
    }

    /// `basic.get`.
    ///
    /// Refused by streams and by quorum queues with a single active consumer: `rabbit_stream_queue.erl`, `dequeue`; `rabbit_fifo.erl`.
    pub(crate) fn get(
        &mut self,
        now: Millis,
        vhost: &str,
        no_ack: bool,
        discards: &mut Vec<Discard>,
    ) -> Result<Option<Entry>, AmqpError> {
        let name = &self.declaration.name;
        if self.is_stream() {
            return Err(AmqpError::not_implemented(format!(
                "basic.get not supported by stream queues queue '{name}' in vhost '{vhost}'"
            )));
        }
        if self.is_quorum() && self.settings.single_active_consumer {
            return Err(AmqpError::resource_locked(format!(
                "cannot obtain access to locked queue '{name}' in vhost '{vhost}'. basic.get operations are not supported by \
                 <<\"quorum\">> queues with single active consumer"
            )));
        }
        self.drop_expired(now, discards);
        let entry = self.ready.pop();
        if entry.is_some() {
            self.unacked += u64::from(!no_ack);
            self.got += u64::from(!no_ack);
            self.make_room();
        }
        Ok(entry)
    }

    /// Takes everything but what is delivered and the dead letters that wait: `rabbit_fifo.erl`, `#purge{}`. A stream cannot be purged.
    pub(crate) fn purge(&mut self, _now: Millis) -> Vec<Entry> {
        let mut purged = self.ready.drain();
        purged.append(&mut self.delayed.drain());
        self.make_room();
        purged
    }

    pub(crate) fn counts(&self) -> Counts {
        if self.is_stream() {
            let (ready, ready_bytes) = (self.stream.len(), self.stream.bytes());
            return Counts { ready, ready_bytes, unacked: self.unacked, ..Counts::default() };
        }
        let (delayed, held) = (self.delayed.len(), self.held.len() as u64);
        let ready_bytes = self.ready.bytes() + self.delayed.bytes();
        Counts { ready: self.ready.len(), ready_bytes, delayed, held, unacked: self.unacked }
    }

    /// Takes everything that is in the queue: it is being deleted.
    pub(crate) fn drain(&mut self) -> Vec<Entry> {
        let mut all = self.purge(self.last_used);
        all.append(&mut self.stream.drain());
        all.extend(self.take_held(|_, _| true).into_iter().map(|discard| discard.entry));
        all
    }

    /// Returns the properties that a delivery carries instead of the message's own, with what the queue tells about it.
    ///
    /// <https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling>, <https://www.rabbitmq.com/docs/streams#consuming>;
    /// `rabbit_fifo_client.erl`, `add_delivery_count_header`.
    pub(crate) fn delivery_properties(&self, entry: &Entry) -> Option<Properties> {
        let mut told: Vec<(&str, i64)> = Vec::new();
        match self.declaration.kind {
            QueueKind::Quorum if entry.acquired > 0 || entry.failures > 0 => {
                // What failed in an earlier queue was also acquired there.
                let acquired = if entry.acquired == 0 { entry.failures } else { entry.acquired };
                told.push(("x-acquired-count", acquired.into()));
                if entry.failures > 0 {
                    told.push(("x-delivery-count", entry.failures.into()));
                }
            }
            QueueKind::Stream => told.push(("x-stream-offset", entry.position.cast_signed())),
            _ => return None,
        }
        let counts: Vec<_> =
            told.iter().map(|(header, count)| (header.as_bytes(), count.to_be_bytes())).collect();
        let edits: Vec<Edit<'_>> =
            counts.iter().map(|(header, bytes)| (*header, Some(Field { kind: b'l', bytes }))).collect();
        let own = &entry.message.properties;
        Some(if self.is_stream() { stream_properties::kept(own, &edits) } else { own.with_headers(&edits) })
    }
}

/// Returns when a message expires: after the lower of its own time to live and the queue's.
fn expiry(now: Millis, own: Option<u64>, queue: Option<u64>) -> Option<Millis> {
    own.into_iter().chain(queue).min().map(|ttl| now + ttl)
}
