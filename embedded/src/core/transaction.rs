//! Transactions: what a channel publishes and settles waits for `tx.commit`.
//!
//! <https://www.rabbitmq.com/docs/semantics#tx>; `rabbit_channel.erl`, `handle_method(#'tx.commit'{})`. A message is routed when it is published,
//! and a delivery counts as settled for its channel as soon as it is.

use std::sync::Arc;

use amq_protocol::protocol::{AMQPClass, tx};

use super::channel::Unacked;
use super::settle::Settlement;
use super::state::Core;
use super::{AmqpError, ChannelId, ConnectionId, Message, Millis, Name, erlang};

/// What waits.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    published: Vec<Pending>,
    settled: Vec<(Vec<Unacked>, Settlement)>,
}

/// A message that was published.
#[derive(Debug)]
struct Pending {
    message: Message,
    queues: Vec<Name>,
    is_mandatory: bool,
}

impl Transaction {
    /// Remembers what a client settled.
    pub(super) fn settle(&mut self, settled: Vec<Unacked>, how: Settlement) {
        self.settled.push((settled, how));
    }

    /// Remembers a message and the queues that it reaches.
    pub(super) fn publish(&mut self, message: Message, queues: Vec<Name>, is_mandatory: bool) {
        self.published.push(Pending { message, queues, is_mandatory });
    }

    /// Returns the deliveries that were settled.
    #[cfg(any(feature = "management", test))]
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Unacked> {
        self.settled.iter().flat_map(|(settled, _)| settled)
    }

    /// Returns the deliveries that were settled, to be changed.
    pub(super) fn deliveries_mut(&mut self) -> impl Iterator<Item = &mut Unacked> {
        self.settled.iter_mut().flat_map(|(settled, _)| settled)
    }

    /// Ends the transaction and returns the deliveries that were settled.
    pub(super) fn into_deliveries(self) -> impl Iterator<Item = Unacked> {
        self.settled.into_iter().flat_map(|(settled, _)| settled)
    }
}

impl Core {
    pub(super) fn transact(
        &mut self,
        now: Millis,
        origin: (ConnectionId, ChannelId),
        method: &tx::AMQPMethod,
    ) -> Result<(), AmqpError> {
        let channel = self.channel(origin.0, origin.1)?;
        let answer = match method {
            tx::AMQPMethod::Select(_) => {
                if channel.confirms.is_some() {
                    return Err(AmqpError::precondition_failed("cannot switch from confirm to tx mode"));
                }
                channel.transaction.get_or_insert_default();
                tx::AMQPMethod::SelectOk(tx::SelectOk {})
            }
            tx::AMQPMethod::Commit(_) => {
                let transaction = channel.transaction.as_mut().ok_or_else(not_transactional)?;
                let transaction = std::mem::take(transaction);
                self.commit(now, origin, transaction)?;
                tx::AMQPMethod::CommitOk(tx::CommitOk {})
            }
            tx::AMQPMethod::Rollback(_) => {
                let transaction = channel.transaction.as_mut().ok_or_else(not_transactional)?;
                let deliveries = std::mem::take(transaction).into_deliveries().collect();
                channel.hold_again(deliveries);
                tx::AMQPMethod::RollbackOk(tx::RollbackOk {})
            }
            _ => return Err(AmqpError::command_invalid("unimplemented method")),
        };
        self.send(origin.0, origin.1, AMQPClass::Tx(answer));
        Ok(())
    }

    /// Publishes come before settlements: `rabbit_channel.erl`.
    fn commit(
        &mut self,
        now: Millis,
        (connection, channel): (ConnectionId, ChannelId),
        transaction: Transaction,
    ) -> Result<(), AmqpError> {
        let vhost = self.vhost_of(connection)?.0.name.clone();
        let mut is_refused = false;
        for Pending { mut message, queues, is_mandatory } in transaction.published {
            message.id = self.history.next_id();
            let message = Arc::new(message);
            self.history.publish(Arc::clone(&message), false);
            if self.publish_reply(connection, channel, &message, None)? {
                continue;
            }
            if queues.is_empty() {
                self.unroutable(connection, channel, &message, is_mandatory, None);
                continue;
            }
            let known = self.vhosts.get(&vhost).map(|vhost| &vhost.queues);
            if let Some(gone) =
                queues.iter().find(|name| known.is_none_or(|known| !known.contains_key(*name)))
            {
                return Err(AmqpError::resource_error(format!(
                    "failed to deliver message: {{not_found,{{resource,{},queue,{}}}}}",
                    erlang::binary(vhost.as_bytes()),
                    erlang::binary(gone.as_bytes())
                )));
            }
            is_refused |= self.enqueue_all(now, &vhost, &message, &queues);
        }
        for (settled, how) in transaction.settled {
            self.settle_deliveries(now, connection, settled, how)?;
        }
        if is_refused {
            return Err(AmqpError::precondition_failed("partial tx completion"));
        }
        Ok(())
    }
}

fn not_transactional() -> AmqpError {
    AmqpError::precondition_failed("channel is not transactional")
}
