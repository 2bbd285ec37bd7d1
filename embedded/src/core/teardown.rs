//! The end of channels, connections and queues, and what goes with them.

use amq_protocol::protocol::basic::{AMQPMethod, Cancel};

use super::channel::Unacked;
use super::history::Fate;
use super::publish::short;
use super::queue::Return;
use super::state::Core;
use super::transaction::Transaction;
use super::{ChannelId, ConnectionId, ConsumerKey, Millis, Name};

impl Core {
    /// Ends a channel: its consumers go, its deliveries come back, its confirms are lost.
    pub(crate) fn close_channel(&mut self, now: Millis, connection: ConnectionId, channel: ChannelId) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        let vhost = open.vhost.clone();
        let Some(mut state) = open.channels.remove(&channel) else { return };
        self.unflushed.remove(&(connection, channel));
        if let Some(reply) = state.reply.take() {
            self.reply_queues.remove(&reply.queue);
        }
        // Consumers first: what comes back must not be delivered to them again. Queues that go with their last consumer
        // wait until the deliveries are back.
        let mut consumers: Vec<_> = state.consumers.drain().collect();
        consumers.sort();
        let mut emptied = Vec::new();
        for (tag, queue) in consumers {
            let found = self.vhosts.get_mut(&vhost).and_then(|vhost| vhost.queues.get_mut(&queue));
            let Some(found) = found else { continue };
            let was_subscribed = found.unsubscribe(now, &ConsumerKey { connection, channel, tag });
            if was_subscribed && found.declaration.auto_delete && found.consumer_count() == 0 {
                emptied.push(queue.clone());
            }
            self.touch_queue(&vhost, &queue);
        }
        let mut deliveries = state.drain();
        deliveries.extend(state.transaction.take().into_iter().flat_map(Transaction::into_deliveries));
        let queues = self.vhosts.get(&vhost).map(|vhost| &vhost.queues);
        deliveries.sort_by_cached_key(|Unacked { tag, queue, consumer, .. }| {
            let found = queues.and_then(|queues| queues.get(queue));
            found.map(|queue| queue.order_of_return(consumer.as_ref(), *tag))
        });
        self.give_back(now, &vhost, deliveries, Return::Lost);
        for queue in emptied {
            self.remove_queue(&vhost, &queue);
        }
        self.settle(now);
    }

    /// Ends a connection with all its channels and the queues that are exclusive to it.
    pub(crate) fn disconnect(&mut self, now: Millis, connection: ConnectionId) {
        let Some(open) = self.connections.get(&connection) else { return };
        let vhost = open.vhost.clone();
        let mut channels: Vec<_> = open.channels.keys().copied().collect();
        channels.sort_unstable();
        for channel in channels {
            self.close_channel(now, connection, channel);
        }
        self.connections.remove(&connection);
        let exclusive = self.vhosts.get(&vhost).map(|vhost| vhost.exclusive_queues_of(connection));
        for queue in exclusive.unwrap_or_default() {
            self.remove_queue(&vhost, &queue);
        }
        self.settle(now);
    }

    /// Deletes a queue with its bindings; its consumers are told.
    pub(super) fn remove_queue(&mut self, vhost: &Name, name: &Name) {
        let removed = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.remove_queue(name));
        if let Some(queue) = removed {
            self.bury(vhost, queue);
        }
    }

    /// Ends what a queue that is gone leaves behind: its messages, its consumers, its deliveries.
    ///
    /// <https://www.rabbitmq.com/docs/consumer-cancel>
    pub(super) fn bury(&mut self, vhost: &Name, mut queue: super::queue::Queue) {
        let name = queue.declaration.name.clone();
        self.age += 1;
        self.timers.set(&(vhost.clone(), name.clone()), None);
        let left = queue.drain();
        self.history.note_all(left.iter().map(|entry| &*entry.message), &name, &Fate::Deleted);
        let mut consumers: Vec<ConsumerKey> =
            queue.consumers().map(|consumer| consumer.subscription.key.clone()).collect();
        consumers.sort();
        for key in consumers {
            let Some(open) = self.connections.get_mut(&key.connection) else { continue };
            let is_told = open.has_capability("consumer_cancel_notify");
            let Some(channel) = open.channels.get_mut(&key.channel) else { continue };
            if channel.consumers.remove(&key.tag).is_some() && is_told {
                let method = Cancel { consumer_tag: short(&key.tag), nowait: true };
                self.send_basic(key.connection, key.channel, AMQPMethod::Cancel(method));
            }
        }
        self.forget_deliveries(vhost, &name);
    }

    /// Notes the end of copies that are out while their queue goes. Their tags stay known: a client may still settle them.
    fn forget_deliveries(&mut self, vhost: &Name, queue: &Name) {
        let Self { connections, history, .. } = self;
        for open in connections.values_mut().filter(|open| open.vhost == *vhost) {
            for channel in open.channels.values_mut() {
                for Unacked { entry, .. } in channel.unacked_of(queue) {
                    if let Some(entry) = entry.take() {
                        history.note(&entry.message, queue, || Fate::Deleted);
                    }
                }
            }
        }
    }
}
