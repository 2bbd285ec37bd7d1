//! `basic.consume`, `basic.cancel`, `basic.get` and `basic.qos`.
//!
//! <https://www.rabbitmq.com/docs/consumers>; `rabbit_channel.erl`, `basic_consume` and `handle_method(#'basic.get'{})`.

use std::sync::Arc;

use amq_protocol::protocol::basic::{
    AMQPMethod, Cancel, CancelOk, Consume, ConsumeOk, Get, GetEmpty, Qos, QosOk,
};

use super::access::Resource;
use super::channel::Unacked;
use super::effect::{Carrier, Output};
use super::history::{Fate, tag};
use super::publish::short;
use super::queue::Subscription;
use super::state::Core;
use super::topology::check_consumer_arguments;
use super::{AmqpError, ChannelId, ConnectionId, ConsumerKey, Millis, Name, reply_to, table};

impl Core {
    pub(super) fn consume(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: Consume,
    ) -> Result<(), AmqpError> {
        let state = self.channel(connection, channel)?;
        let asked = method.consumer_tag.as_str();
        if state.consumers.contains_key(asked) {
            return Err(AmqpError::not_allowed(format!("attempt to reuse consumer tag '{asked}'")));
        }
        let prefetch = state.prefetch;
        let tag: Name = if asked.is_empty() { self.unique_name("amq.ctag-") } else { asked.into() };
        if method.queue.as_str() == reply_to::PSEUDO_QUEUE {
            return self.consume_replies(connection, channel, &method, tag);
        }
        let queue = self.readable_queue(connection, channel, method.queue.as_str())?;
        let key = ConsumerKey { connection, channel, tag: tag.clone() };
        let subscription = Subscription {
            key: key.clone(),
            no_ack: method.no_ack,
            exclusive: method.exclusive,
            prefetch,
            priority: table::get_integer(&method.arguments, "x-priority").map_or(0, |priority| {
                i32::try_from(priority).unwrap_or(if priority < 0 { i32::MIN } else { i32::MAX })
            }),
            timeout: table::get_integer(&method.arguments, "x-consumer-timeout")
                .and_then(|timeout| timeout.try_into().ok()),
            arguments: method.arguments,
        };
        let started = self.started;
        let is_full = self.connections.get(&connection).is_some_and(|open| open.is_full);
        let (vhost, _) = self.vhost_of(connection)?;
        let (vhost_name, found) = (vhost.name.clone(), vhost.queues.get_mut(&queue));
        let found = found.ok_or_else(|| AmqpError::internal_error("the queue vanished"))?;
        let what = Resource::Queue(&queue).describe(&vhost_name);
        check_consumer_arguments(&what, found.declaration.kind, &subscription.arguments)?;
        found.subscribe(now, started, &vhost_name, subscription)?;
        if is_full {
            found.pause(&key, true);
        }
        self.channel(connection, channel)?.consumers.insert(tag.clone(), queue.clone());
        if !method.nowait {
            let consumer_tag = short(&tag);
            self.send_basic(connection, channel, AMQPMethod::ConsumeOk(ConsumeOk { consumer_tag }));
        }
        self.touch_queue(&vhost_name, &queue);
        Ok(())
    }

    pub(super) fn cancel(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &Cancel,
    ) -> Result<(), AmqpError> {
        let tag = method.consumer_tag.as_str();
        if !self.cancel_replies(connection, channel, tag)?
            && let Some((tag, queue)) = self.channel(connection, channel)?.consumers.remove_entry(tag)
        {
            let vhost = self.vhost_of(connection)?.0.name.clone();
            self.unsubscribe(now, &vhost, &queue, &ConsumerKey { connection, channel, tag });
        }
        if !method.nowait {
            let consumer_tag = method.consumer_tag.clone();
            self.send_basic(connection, channel, AMQPMethod::CancelOk(CancelOk { consumer_tag }));
        }
        Ok(())
    }

    /// Ends a consumer; an auto-delete queue goes with its last one.
    pub(super) fn unsubscribe(&mut self, now: Millis, vhost: &Name, queue: &Name, key: &ConsumerKey) {
        let Some(found) = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(queue)) else {
            return;
        };
        let was_subscribed = found.unsubscribe(now, key);
        if was_subscribed && found.declaration.auto_delete && found.consumer_count() == 0 {
            self.remove_queue(vhost, queue);
        } else {
            self.touch_queue(vhost, queue);
        }
    }

    pub(super) fn get(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &Get,
    ) -> Result<(), AmqpError> {
        let name = self.readable_queue(connection, channel, method.queue.as_str())?;
        let (vhost, _) = self.vhost_of(connection)?;
        let vhost_name = vhost.name.clone();
        let queue =
            vhost.queues.get_mut(&name).ok_or_else(|| AmqpError::internal_error("the queue vanished"))?;
        queue.touch(now);
        let mut discards = Vec::new();
        let entry = queue.get(now, &vhost_name, method.no_ack, &mut discards)?;
        let ready = queue.counts().ready;
        let Some(entry) = entry else {
            self.discard(&vhost_name, &name, discards);
            self.touch_queue(&vhost_name, &name);
            self.send_basic(connection, channel, AMQPMethod::GetEmpty(GetEmpty {}));
            return Ok(());
        };
        let properties = queue.delivery_properties(&entry);
        self.discard(&vhost_name, &name, discards);
        self.touch_queue(&vhost_name, &name);
        let message = Arc::clone(&entry.message);
        let state = self.channel(connection, channel)?;
        let delivery_tag = state.next_tag();
        let carrier = Carrier::GetOk {
            delivery_tag,
            redelivered: entry.redelivered,
            message_count: u32::try_from(ready).unwrap_or(u32::MAX),
        };
        let fate = if method.no_ack {
            Fate::Acked { consumer: tag(None) }
        } else {
            state.hold(Unacked {
                tag: delivery_tag,
                queue: name.clone(),
                consumer: None,
                entry: Some(entry),
                deadline: None,
            });
            Fate::Unacked { consumer: tag(None) }
        };
        self.history.note(&message, &name, || fate);
        self.effects.push((connection, Output::Content { channel, carrier, message, properties }));
        Ok(())
    }

    /// `global` sets the prefetch of consumers to come as well: RabbitMQ 4.3 no longer has the prefetch of a whole channel
    /// (<https://www.rabbitmq.com/docs/consumer-prefetch>, the deprecated feature `global_qos`).
    pub(super) fn qos(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        method: &Qos,
    ) -> Result<(), AmqpError> {
        self.channel(connection, channel)?.prefetch = method.prefetch_count.into();
        self.send_basic(connection, channel, AMQPMethod::QosOk(QosOk {}));
        Ok(())
    }

    /// Resolves an empty name, checks the permission to read, that there is such a queue and that it is not another connection's.
    fn readable_queue(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        name: &str,
    ) -> Result<Name, AmqpError> {
        let name = self.queue_name(connection, channel, name)?;
        let (vhost, caller) = self.vhost_of(connection)?;
        caller.read(&vhost.name, Resource::Queue(&name))?;
        vhost.accessible_queue(&caller, &name)?;
        Ok(name)
    }

    /// Returns what a queue's name stands for: an empty one is the queue that the channel declared last.
    pub(super) fn queue_name(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        name: &str,
    ) -> Result<Name, AmqpError> {
        if !name.is_empty() {
            return Ok(name.into());
        }
        let last = self.channel(connection, channel)?.last_queue.clone();
        last.ok_or_else(|| AmqpError::not_found("no previously declared queue"))
    }
}
