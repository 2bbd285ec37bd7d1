//! Direct reply-to: a consumer without a queue.
//!
//! <https://www.rabbitmq.com/docs/direct-reply-to>; `rabbit_channel.erl` and `rabbit_volatile_queue.erl`.

use std::sync::Arc;

use amq_protocol::protocol::basic::{AMQPMethod, Consume, ConsumeOk};
use amq_protocol::protocol::queue;

use super::channel::ReplyConsumer;
use super::effect::{Carrier, Output};
use super::publish::short;
use super::state::Core;
use super::{AmqpError, ChannelId, ConnectionId, Message, Name};

/// The queue that clients name to consume their replies.
pub(crate) const PSEUDO_QUEUE: &str = "amq.rabbitmq.reply-to";

impl Core {
    /// `basic.consume` on the pseudo-queue.
    pub(super) fn consume_replies(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        method: &Consume,
        tag: Name,
    ) -> Result<(), AmqpError> {
        if !method.no_ack {
            return Err(AmqpError::precondition_failed("reply consumer cannot acknowledge"));
        }
        if self.channel(connection, channel)?.reply.is_some() {
            return Err(AmqpError::precondition_failed("reply consumer already set"));
        }
        let queue = self.unique_name("amq.rabbitmq.reply-to.");
        self.reply_queues.insert(queue.clone(), (connection, channel));
        let consumer_tag = short(&tag);
        self.channel(connection, channel)?.reply = Some(ReplyConsumer { tag, queue });
        if !method.nowait {
            self.send_basic(connection, channel, AMQPMethod::ConsumeOk(ConsumeOk { consumer_tag }));
        }
        Ok(())
    }

    /// Ends the consumer of direct replies if `tag` is its; returns whether it was.
    pub(super) fn cancel_replies(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        tag: &str,
    ) -> Result<bool, AmqpError> {
        let reply = &mut self.channel(connection, channel)?.reply;
        if reply.as_ref().is_none_or(|reply| &*reply.tag != tag) {
            return Ok(false);
        }
        if let Some(reply) = reply.take() {
            self.reply_queues.remove(&reply.queue);
        }
        Ok(true)
    }

    /// Hands a reply to its requester; returns whether the message was one. A reply to nobody counts as routed since 4.2.
    pub(super) fn publish_reply(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        message: &Arc<Message>,
        sequence: Option<u64>,
    ) -> Result<bool, AmqpError> {
        let Ok(key) = std::str::from_utf8(&message.routing_key) else { return Ok(false) };
        if !message.exchange.is_empty() || !is_reply_queue(key) {
            return Ok(false);
        }
        if let Some(&(to, on)) = self.reply_queues.get(key)
            && let Some(reply) = &self.channel(to, on)?.reply
        {
            let consumer_tag = reply.tag.clone();
            let delivery_tag = self.channel(to, on)?.next_tag();
            let carrier = Carrier::Deliver { consumer_tag, delivery_tag, redelivered: false };
            let message = Arc::clone(message);
            self.effects.push((to, Output::Content { channel: on, carrier, message, properties: None }));
        }
        self.confirm(connection, channel, sequence, true);
        Ok(true)
    }

    /// `queue.declare` tells whether a requester still waits; `None` if the name is none of a requester's.
    pub(super) fn declare_reply_queue(
        &self,
        vhost: &str,
        method: &queue::Declare,
    ) -> Result<Option<queue::AMQPMethod>, AmqpError> {
        let name = method.queue.as_str();
        if !name.starts_with(PSEUDO_QUEUE) {
            return Ok(None);
        }
        if name != PSEUDO_QUEUE && !self.reply_queues.contains_key(name) {
            return Err(AmqpError::not_found(format!("no queue '{name}' in vhost '{vhost}'")));
        }
        let queue = method.queue.clone();
        Ok(Some(queue::AMQPMethod::DeclareOk(queue::DeclareOk {
            queue,
            message_count: 0,
            consumer_count: 1,
        })))
    }
}

/// Returns whether a name is the one of a requester's replies.
pub(super) fn is_reply_queue(name: &str) -> bool {
    name.strip_prefix(PSEUDO_QUEUE).is_some_and(|rest| rest.starts_with('.'))
}
