//! Work that commands leave behind: deliveries to consumers, dead letters, timers.

use amq_protocol::protocol::basic::{AMQPMethod, Cancel};
use std::collections::VecDeque;
use std::sync::Arc;

use super::channel::Unacked;
use super::effect::{Carrier, Output};
use super::history::{Fate, tag};
use super::properties::Properties;
use super::publish::short;
use super::queue::{Assignment, Discard, Queue, Return};
use super::state::{Core, QueueRef};
use super::{AmqpError, ChannelId, ConnectionId, ConsumerKey, Millis, Name};

/// So many bytes of deliveries are made before their connections must say whether they can take more.
const BURST: u64 = 1 << 20;
/// What a delivery takes beside its body, roughly.
const OVERHEAD: u64 = 128;

impl Core {
    /// Marks a queue: something changed that may make a delivery possible or move a timer.
    pub(super) fn touch_queue(&mut self, vhost: &Name, queue: &Name) {
        if self.dirty.last().is_none_or(|(_, last)| last != queue) {
            self.dirty.push((vhost.clone(), queue.clone()));
        }
    }

    /// Does everything that the last command made possible, unless the deliveries become too many: then the rest waits until
    /// the effects are drained.
    pub(super) fn settle(&mut self, now: Millis) {
        loop {
            if let Some((queue, discard)) = self.discards.pop_front() {
                self.dead_letter(now, &queue, discard);
            } else if self.burst > BURST {
                return;
            } else if let Some(queue) = self.dirty.pop() {
                self.pump(now, &queue);
            } else {
                return;
            }
        }
    }

    /// Delivers while there are messages and consumers with credit, then sets the queue's timer.
    fn pump(&mut self, now: Millis, queue_ref: &QueueRef) {
        let mut discards = Vec::new();
        // What went out without acknowledgements: each consumer's part is settled by itself, and may make deliveries possible.
        let mut sent: VecDeque<(ConsumerKey, u32)> = VecDeque::new();
        loop {
            let is_done = self.deliver_batch(now, queue_ref, &mut discards, &mut sent);
            let Some(queue) =
                self.vhosts.get_mut(&queue_ref.0).and_then(|vhost| vhost.queues.get_mut(&queue_ref.1))
            else {
                return;
            };
            if !is_done {
                self.dirty.push(queue_ref.clone());
                sent.drain(..).for_each(|(consumer, count)| queue.sent(&consumer, count));
                break;
            }
            let Some((consumer, count)) = sent.pop_front() else {
                self.timers.set(queue_ref, queue.next_deadline());
                break;
            };
            queue.sent(&consumer, count);
        }
        self.discard(&queue_ref.0, &queue_ref.1, discards);
    }

    /// Delivers what can be delivered at once; returns whether that was everything.
    fn deliver_batch(
        &mut self,
        now: Millis,
        (vhost, name): &QueueRef,
        discards: &mut Vec<Discard>,
        sent: &mut VecDeque<(ConsumerKey, u32)>,
    ) -> bool {
        let mut batch = Vec::new();
        let is_done = loop {
            if self.burst > BURST {
                break false;
            }
            let found = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(name));
            let Some(queue) = found else {
                self.timers.set(&(vhost.clone(), name.clone()), None);
                break true;
            };
            let Some(assignment) = queue.assign(now, discards) else { break true };
            let properties = queue.delivery_properties(&assignment.entry);
            let timeout =
                if assignment.no_ack { None } else { consumer_timeout(queue, &assignment.consumer) };
            let deadline = timeout.map(|timeout| now + timeout);
            self.burst += OVERHEAD + assignment.entry.message.size();
            match queue.order_in_batch(&assignment.consumer) {
                Some(order) => batch.push((order, assignment, properties, deadline)),
                None => self.deliver(name, assignment, properties, deadline),
            }
        };
        batch.sort_by_key(|(order, ..)| *order);
        for (_, assignment, properties, deadline) in batch {
            if assignment.no_ack {
                match sent.back_mut() {
                    Some((last, count)) if *last == assignment.consumer => *count += 1,
                    _ => sent.push_back((assignment.consumer.clone(), 1)),
                }
            }
            self.deliver(name, assignment, properties, deadline);
        }
        is_done
    }

    fn deliver(
        &mut self,
        queue: &Name,
        assignment: Assignment,
        properties: Option<Properties>,
        deadline: Option<Millis>,
    ) {
        let Assignment { consumer, no_ack, entry } = assignment;
        let (connection, on) = (consumer.connection, consumer.channel);
        let Self { connections, history, effects, timers, .. } = self;
        let Some(channel) = connections.get_mut(&connection).and_then(|open| open.channels.get_mut(&on))
        else {
            return;
        };
        let delivery_tag = channel.next_tag();
        let message = Arc::clone(&entry.message);
        let carrier = Carrier::Deliver {
            consumer_tag: consumer.tag.clone(),
            delivery_tag,
            redelivered: entry.redelivered,
        };
        history.note(&message, queue, || {
            let consumer = tag(Some(&consumer));
            if no_ack { Fate::Acked { consumer } } else { Fate::Unacked { consumer } }
        });
        if !no_ack {
            if let Some(deadline) = deadline {
                timers.add_timeout(deadline);
            }
            let (consumer, queue) = (Some(consumer), queue.clone());
            channel.hold(Unacked { tag: delivery_tag, queue, consumer, entry: Some(entry), deadline });
        }
        effects.push((connection, Output::Content { channel: on, carrier, message, properties }));
    }

    /// Fires every timer that is due.
    pub(crate) fn tick(&mut self, now: Millis) {
        while let Some((vhost, name)) = self.timers.next_queue(now) {
            let found = self.vhosts.get_mut(&vhost).and_then(|vhost| vhost.queues.get_mut(&name));
            let Some(queue) = found else { continue };
            if queue.is_expired(now) {
                self.remove_queue(&vhost, &name);
            } else {
                let mut discards = Vec::new();
                queue.expire(now, &mut discards);
                let held = queue.take_due(now);
                self.discard(&vhost, &name, discards);
                self.discard(&vhost, &name, held);
                self.dirty.push((vhost, name));
            }
            self.settle(now);
        }
        if self.timers.take_timeouts(now) {
            self.time_out_consumers(now);
            self.settle(now);
        }
        if self.timers.take_flush(now) {
            self.flush_delayed();
        }
    }

    /// Returns the earliest time at which [`Self::tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Millis> {
        self.timers.next()
    }

    /// Takes deliveries back that were not acknowledged in time, and tells their consumers.
    ///
    /// <https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout>; `rabbit_fifo.erl`, `evaluate_consumer_timeout`.
    fn time_out_consumers(&mut self, now: Millis) {
        let mut late = Vec::new();
        for (&connection, open) in &mut self.connections {
            for (&number, channel) in &mut open.channels {
                let entries = channel.time_out(now);
                if !entries.is_empty() {
                    late.push(((connection, number), open.vhost.clone(), entries));
                }
                if let Some(at) = channel.next_timeout() {
                    self.timers.add_timeout(at);
                }
            }
        }
        late.sort_by_key(|(channel, ..)| *channel);
        for ((connection, channel), vhost, entries) in late {
            let mut told = Vec::new();
            for (queue, consumer, entry) in entries {
                if !told.contains(&consumer) {
                    self.tell_timeout(connection, channel, &consumer);
                    told.push(consumer.clone());
                }
                self.return_entries(now, &vhost, &queue, Some(&consumer), vec![entry], Return::TimedOut);
            }
        }
    }

    fn tell_timeout(&mut self, connection: ConnectionId, channel: ChannelId, consumer: &ConsumerKey) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        let is_consuming =
            open.channels.get(&channel).is_some_and(|state| state.consumers.contains_key(&consumer.tag));
        if open.has_capability("consumer_cancel_notify") && is_consuming {
            let method = Cancel { consumer_tag: short(&consumer.tag), nowait: true };
            self.send_basic(connection, channel, AMQPMethod::Cancel(method));
        } else {
            let text = format!(
                "delivery acknowledgement on channel {channel} timed out. Timeout value used: -1 ms. \
                 This timeout value can be configured, see consumers doc guide to learn more"
            );
            self.effects
                .push((connection, Output::CloseChannel(channel, AmqpError::precondition_failed(text))));
        }
    }

    /// Tells the core whether a connection can take more deliveries now.
    pub(crate) fn set_full(&mut self, now: Millis, connection: ConnectionId, is_full: bool) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        open.is_full = is_full;
        let vhost = open.vhost.clone();
        let mut consumers = Vec::new();
        for (&channel, state) in &open.channels {
            consumers
                .extend(state.consumers.iter().map(|(tag, queue)| (channel, tag.clone(), queue.clone())));
        }
        for (channel, tag, queue) in consumers {
            if let Some(found) = self.vhosts.get_mut(&vhost).and_then(|vhost| vhost.queues.get_mut(&queue)) {
                found.pause(&ConsumerKey { connection, channel, tag }, is_full);
            }
            self.touch_queue(&vhost, &queue);
        }
        self.settle(now);
    }
}

/// Returns how long a consumer of the queue may hold a delivery, in milliseconds: the lower of its own limit and the queue's.
fn consumer_timeout(queue: &Queue, consumer: &ConsumerKey) -> Option<u64> {
    queue.consumer_timeout(consumer)
}
