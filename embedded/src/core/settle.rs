//! `basic.ack`, `basic.nack`, `basic.reject` and `basic.recover`: how deliveries end or come back.
//!
//! <https://www.rabbitmq.com/docs/confirms#acknowledgement-modes>; `rabbit_channel.erl`, `settle_acks` and `internal_reject`.

use amq_protocol::protocol::basic::{Ack, Nack, Recover, Reject};

use super::channel::Unacked;
use super::history::{Fate, tag};
use super::queue::Return;
use super::state::Core;
use super::{AmqpError, ChannelId, ConnectionId, ConsumerKey, Entry, Millis, Name};

/// The queue and the consumer of a delivery.
type Whose = (Name, Option<ConsumerKey>);

/// What happens to deliveries that a client settles.
#[derive(Debug, Clone, Copy)]
pub(super) enum Settlement {
    Ack,
    /// `has_failed` tells a `basic.reject` from a `basic.nack`.
    Discard {
        has_failed: bool,
    },
    Requeue(Return),
}

impl Core {
    pub(super) fn ack(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &Ack,
    ) -> Result<(), AmqpError> {
        let settled = self.channel(connection, channel)?.collect(method.delivery_tag, method.multiple)?;
        self.settle_or_wait(now, (connection, channel), settled, Settlement::Ack)
    }

    pub(super) fn nack(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &Nack,
    ) -> Result<(), AmqpError> {
        let settled = self.channel(connection, channel)?.collect(method.delivery_tag, method.multiple)?;
        let how = if method.requeue {
            Settlement::Requeue(Return::Nack)
        } else {
            Settlement::Discard { has_failed: false }
        };
        self.settle_or_wait(now, (connection, channel), settled, how)
    }

    pub(super) fn reject(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &Reject,
    ) -> Result<(), AmqpError> {
        let settled = self.channel(connection, channel)?.collect(method.delivery_tag, false)?;
        let how = if method.requeue {
            Settlement::Requeue(Return::Reject)
        } else {
            Settlement::Discard { has_failed: true }
        };
        self.settle_or_wait(now, (connection, channel), settled, how)
    }

    /// `requeue=false` was never implemented by RabbitMQ.
    pub(super) fn recover(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        method: &Recover,
    ) -> Result<(), AmqpError> {
        if !method.requeue {
            return Err(AmqpError::not_implemented("requeue=false"));
        }
        let settled = self.channel(connection, channel)?.drain();
        self.settle_deliveries(now, connection, settled, Settlement::Requeue(Return::Nack))
    }

    /// In a transaction, what is settled waits for its end.
    fn settle_or_wait(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        settled: Vec<Unacked>,
        how: Settlement,
    ) -> Result<(), AmqpError> {
        if let Some(transaction) = &mut self.channel(connection, channel)?.transaction {
            transaction.settle(settled, how);
            return Ok(());
        }
        self.settle_deliveries(now, connection, settled, how)
    }

    pub(super) fn settle_deliveries(
        &mut self,
        now: Millis,
        connection: ConnectionId,
        settled: Vec<Unacked>,
        how: Settlement,
    ) -> Result<(), AmqpError> {
        let vhost = self.vhost_of(connection)?.0.name.clone();
        if settled.len() < 2 || settled.iter().all(|unacked| belong_together(unacked, &settled[0])) {
            self.settle_group(now, &vhost, settled, how);
            return Ok(());
        }
        // What becomes possible when one consumer has settled is done before the next one settles.
        for group in groups(settled) {
            self.settle_group(now, &vhost, group, how);
            self.settle(now);
        }
        Ok(())
    }

    fn settle_group(&mut self, now: Millis, vhost: &Name, settled: Vec<Unacked>, how: Settlement) {
        if let Settlement::Requeue(how) = how {
            self.give_back(now, vhost, settled, how);
            return;
        }
        for unacked in settled {
            self.settle_one(now, vhost, unacked, how);
        }
    }

    fn settle_one(&mut self, now: Millis, vhost: &Name, unacked: Unacked, how: Settlement) {
        let Unacked { queue: name, consumer, entry, .. } = unacked;
        let Some(queue) = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(&name)) else {
            return;
        };
        let Some(entry) = entry else {
            if let Some(consumer) = &consumer {
                queue.settle_late(now, consumer);
            }
            self.touch_queue(vhost, &name);
            return;
        };
        if let Settlement::Discard { has_failed } = how {
            let mut discards = Vec::new();
            queue.reject(now, consumer.as_ref(), entry, has_failed, &mut discards);
            self.discard(vhost, &name, discards);
        } else {
            self.history.note(&entry.message, &name, || Fate::Acked { consumer: tag(consumer.as_ref()) });
            queue.ack(now, consumer.as_ref(), entry);
        }
        self.touch_queue(vhost, &name);
    }

    /// Puts deliveries back, those of one queue and consumer together and in the order of their delivery.
    pub(super) fn give_back(&mut self, now: Millis, vhost: &Name, deliveries: Vec<Unacked>, how: Return) {
        let mut groups: Vec<(Whose, Vec<Entry>)> = Vec::new();
        for Unacked { queue, consumer, entry, .. } in deliveries {
            let Some(entry) = entry else {
                if let Some(consumer) = &consumer
                    && let Some(found) =
                        self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(&queue))
                {
                    found.settle_late(now, consumer);
                    self.touch_queue(vhost, &queue);
                }
                continue;
            };
            let whose = (queue, consumer);
            match groups.iter_mut().find(|(key, _)| *key == whose) {
                Some((_, entries)) => entries.push(entry),
                None => groups.push((whose, vec![entry])),
            }
        }
        for ((queue, consumer), entries) in groups {
            self.return_entries(now, vhost, &queue, consumer.as_ref(), entries, how);
        }
    }

    /// Puts the copies of one consumer back into their queue.
    pub(super) fn return_entries(
        &mut self,
        now: Millis,
        vhost: &Name,
        queue: &Name,
        consumer: Option<&ConsumerKey>,
        entries: Vec<Entry>,
        how: Return,
    ) {
        let Some(found) = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(queue)) else {
            return;
        };
        for entry in &entries {
            self.history.note(&entry.message, queue, || Fate::Ready);
            if !found.is_stream() {
                self.history.requeued(&entry.message, queue, consumer, how);
            }
        }
        let mut discards = Vec::new();
        found.give_back(now, consumer, entries, how, &mut discards);
        self.discard(vhost, queue, discards);
        self.touch_queue(vhost, queue);
    }
}

/// Tells where a delivery came from, in the order in which RabbitMQ settles: what was got before what was consumed.
fn whose(unacked: &Unacked) -> (&Name, Option<&Name>) {
    (&unacked.queue, unacked.consumer.as_ref().map(|consumer| &consumer.tag))
}

/// Whether two deliveries are settled at once. Each one that was got is settled alone.
fn belong_together(a: &Unacked, b: &Unacked) -> bool {
    a.consumer.is_some() && whose(a) == whose(b)
}

/// Splits deliveries by queue and consumer, those of each in the order of their delivery: `rabbit_channel.erl`, `foreach_per_queue`.
fn groups(mut settled: Vec<Unacked>) -> Vec<Vec<Unacked>> {
    settled.sort_by(|a, b| whose(a).cmp(&whose(b)));
    let mut groups: Vec<Vec<Unacked>> = Vec::new();
    for unacked in settled {
        match groups.last_mut() {
            Some(group) if belong_together(&group[0], &unacked) => group.push(unacked),
            _ => groups.push(vec![unacked]),
        }
    }
    groups
}
