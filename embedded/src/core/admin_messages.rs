//! Queues, exchanges and messages as an administrator handles them, past all connections.

use std::sync::Arc;

use bytes::Bytes;

use super::access::{Caller, Resource};
use super::effect::Output;
use super::history::Fate;
use super::properties::Properties;
use super::publish::new_message;
use super::queue::Return;
use super::state::Core;
use super::vhost::Vhost;
use super::{AmqpError, ConnectionId, Message, Millis, Name, text};

/// What becomes of messages that an administrator gets: the `ackmode` of the management API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Acked,
    Rejected,
    Requeued(Return),
}

impl Taken {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "ack_requeue_false" => Self::Acked,
            "reject_requeue_false" => Self::Rejected,
            // Since 4.3 this gives the message back without counting an attempt.
            "ack_requeue_true" => Self::Requeued(Return::Nack),
            "reject_requeue_true" => Self::Requeued(Return::Reject),
            _ => return None,
        })
    }
}

/// A message that was got: with the properties of its delivery, whether it was delivered before, and how many are left.
pub(crate) type Got = (Arc<Message>, Option<Properties>, bool, u64);

/// No connection has this number.
const NOBODY: ConnectionId = 0;

impl Core {
    /// Returns a vhost for changes by a user.
    pub(crate) fn vhost_for(
        &mut self,
        user: &str,
        vhost: &str,
    ) -> Result<(&mut Vhost, Caller<'_>), AmqpError> {
        self.age += 1;
        let found = self.vhosts.get_mut(vhost).zip(self.users.get(user));
        let (vhost, user) = found.ok_or_else(|| AmqpError::not_found(format!("no vhost '{vhost}'")))?;
        Ok((vhost, Caller { user, connection: NOBODY }))
    }

    /// Publishes a message; returns whether it reached a queue.
    pub(crate) fn publish_as_admin(
        &mut self,
        now: Millis,
        (vhost, exchange, key): (&str, &str, &str),
        properties: Properties,
        body: Bytes,
    ) -> Result<bool, AmqpError> {
        let message = Arc::new(new_message(
            self.history.next_id(),
            (exchange.into(), text::key(key)),
            properties,
            body,
        )?);
        let found =
            self.vhosts.get(vhost).ok_or_else(|| AmqpError::not_found(format!("no vhost '{vhost}'")))?;
        let mut queues = Vec::new();
        found.route(exchange, &message, &mut queues)?;
        let vhost = found.name.clone();
        self.history.publish(Arc::clone(&message), false);
        self.enqueue_all(now, &vhost, &message, &queues);
        self.settle(now);
        Ok(!queues.is_empty())
    }

    /// Gets up to `count` messages from the head of a queue.
    pub(crate) fn get_as_admin(
        &mut self,
        now: Millis,
        vhost: &str,
        queue: &str,
        count: u64,
        taken: Taken,
    ) -> Result<Vec<Got>, AmqpError> {
        let missing = || AmqpError::not_found(format!("no {}", Resource::Queue(queue).describe(vhost)));
        let found = self.vhosts.get_mut(vhost).ok_or_else(missing)?;
        let vhost = found.name.clone();
        let found = found.queues.get_mut(queue).ok_or_else(missing)?;
        let name = found.declaration.name.clone();
        let (mut discards, mut entries, mut got) = (Vec::new(), Vec::new(), Vec::new());
        while (entries.len() as u64) < count {
            let Some(entry) = found.get(now, &vhost, false, &mut discards)? else { break };
            let left = found.counts().ready;
            let properties = found.delivery_properties(&entry);
            got.push((Arc::clone(&entry.message), properties, entry.redelivered, left));
            entries.push(entry);
        }
        if let Taken::Requeued(how) = taken {
            found.give_back(now, None, entries, how, &mut discards);
        } else {
            for entry in entries {
                if taken == Taken::Rejected {
                    found.reject(now, None, entry, true, &mut discards);
                } else {
                    self.history.note(&entry.message, &name, || Fate::Acked { consumer: None });
                    found.ack(now, None, entry);
                }
            }
        }
        self.discard(&vhost, &name, discards);
        self.touch_queue(&vhost, &name);
        self.settle(now);
        Ok(got)
    }

    /// Deletes a queue; returns whether there was one.
    pub(crate) fn delete_queue_by_name(&mut self, now: Millis, vhost: &str, queue: &str) -> bool {
        let Some(found) = self.vhosts.get_mut(vhost) else { return false };
        let vhost = found.name.clone();
        let Some(removed) = found.remove_queue(queue) else { return false };
        self.bury(&vhost, removed);
        self.settle(now);
        true
    }

    /// Purges a queue; returns whether there is one.
    pub(crate) fn purge_queue_by_name(&mut self, now: Millis, vhost: &str, queue: &str) -> bool {
        let Some(found) = self.vhosts.get_mut(vhost) else { return false };
        let vhost = found.name.clone();
        let Some(queue) = found.queues.get_mut(queue).filter(|queue| !queue.is_stream()) else {
            return false;
        };
        let (name, purged): (Name, _) = (queue.declaration.name.clone(), queue.purge(now));
        self.history.note_all(purged.iter().map(|entry| &*entry.message), &name, &Fate::Purged);
        self.touch_queue(&vhost, &name);
        self.settle(now);
        true
    }

    /// Deletes an exchange that is not the broker's own; returns whether there was one.
    pub(crate) fn delete_exchange_by_name(&mut self, vhost: &str, exchange: &str) -> bool {
        self.age += 1;
        let Some(found) = self.vhosts.get_mut(vhost) else { return false };
        let was_there =
            found.exchanges.contains_key(exchange) && !exchange.is_empty() && !exchange.starts_with("amq.");
        if was_there {
            found.remove_exchange(exchange);
        }
        was_there
    }

    /// Closes a connection as an operator does; returns whether it was open.
    pub(crate) fn close_connection_by_name(&mut self, name: &str) -> bool {
        let Some((&connection, _)) = self.connections.iter().find(|(_, open)| open.name == name) else {
            return false;
        };
        let error = AmqpError::connection_forced("Closed via management plugin");
        self.effects.push((connection, Output::CloseConnection(error)));
        true
    }
}
