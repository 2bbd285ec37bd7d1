//! Which method is handled where.

use amq_protocol::protocol::{AMQPClass, access, basic, channel, confirm, exchange, queue};

use super::effect::Command;
use super::faulty::method_name;
use super::history::Fate;
use super::publish::short;
use super::state::Core;
use super::{AmqpError, ChannelId, ConnectionId, Millis};
use crate::faults::Fault;

/// A channel of a connection.
type Origin = (ConnectionId, ChannelId);

impl Core {
    /// Handles a command on an open channel, and everything that it makes possible.
    ///
    /// An error closes the channel or the connection: the shell tells the client and the core.
    pub(crate) fn receive(
        &mut self,
        now: Millis,
        connection: ConnectionId,
        channel: ChannelId,
        command: Command,
    ) -> Result<(), AmqpError> {
        let origin = (connection, channel);
        let faults = self.faults.strike(method_name(&command));
        if !faults.is_empty() {
            if self.strike_before(origin, &faults) {
                return Ok(());
            }
            self.refuse_next = faults.contains(&Fault::Nack);
            self.withhold_next = faults.contains(&Fault::WithholdConfirm);
        }
        let result = match command {
            Command::Publish { method, properties, body } => {
                self.publish(now, origin, method, properties, body)
            }
            Command::Method(AMQPClass::Basic(method)) => self.basic(now, origin, method),
            Command::Method(AMQPClass::Exchange(method)) => self.exchange(now, origin, method),
            Command::Method(AMQPClass::Queue(method)) => self.queue(now, origin, method),
            Command::Method(AMQPClass::Confirm(confirm::AMQPMethod::Select(method))) => {
                self.confirm_select(origin, &method)
            }
            Command::Method(AMQPClass::Channel(channel::AMQPMethod::Flow(method))) => {
                self.flow(origin, &method)
            }
            Command::Method(AMQPClass::Access(access::AMQPMethod::Request(_))) => {
                let answer = access::AMQPMethod::RequestOk(access::RequestOk {});
                self.send(connection, channel, AMQPClass::Access(answer));
                Ok(())
            }
            Command::Method(AMQPClass::Tx(method)) => self.transact(now, origin, &method),
            Command::Method(other) => Err(unexpected(&other)),
        };
        self.settle(now);
        self.strike_after(now, connection, faults);
        result
    }

    fn basic(&mut self, now: Millis, origin: Origin, method: basic::AMQPMethod) -> Result<(), AmqpError> {
        use basic::AMQPMethod as M;
        match method {
            M::Ack(method) => self.ack(now, origin, &method),
            M::Nack(method) => self.nack(now, origin, &method),
            M::Reject(method) => self.reject(now, origin, &method),
            M::Consume(method) => self.consume(now, origin, method),
            M::Cancel(method) => self.cancel(now, origin, &method),
            // The answer to a cancel of the broker's; it ends the consumer as a cancel of the client's would. That of a consumer that is gone
            // makes the channel crash: `rabbit_channel.erl`, `return_ok`.
            M::CancelOk(method) => {
                let consumers = &self.channel(origin.0, origin.1)?.consumers;
                if !consumers.contains_key(method.consumer_tag.as_str()) {
                    return Err(AmqpError::internal_error(""));
                }
                let method = basic::Cancel { consumer_tag: method.consumer_tag, nowait: true };
                self.cancel(now, origin, &method)
            }
            M::Get(method) => self.get(now, origin, &method),
            M::Qos(method) => self.qos(origin.0, origin.1, &method),
            M::Recover(method) => {
                self.recover(now, origin, &method)?;
                self.send_basic(origin.0, origin.1, M::RecoverOk(basic::RecoverOk {}));
                Ok(())
            }
            M::RecoverAsync(method) => self.recover(now, origin, &basic::Recover { requeue: method.requeue }),
            other => Err(unexpected(&AMQPClass::Basic(other))),
        }
    }

    fn confirm_select(&mut self, origin: Origin, method: &confirm::Select) -> Result<(), AmqpError> {
        let channel = self.channel(origin.0, origin.1)?;
        if channel.transaction.is_some() {
            return Err(AmqpError::precondition_failed("cannot switch from tx to confirm mode"));
        }
        channel.confirms.get_or_insert_default();
        if !method.nowait {
            let answer = confirm::AMQPMethod::SelectOk(confirm::SelectOk {});
            self.send(origin.0, origin.1, AMQPClass::Confirm(answer));
        }
        Ok(())
    }

    fn flow(&mut self, origin: Origin, method: &channel::Flow) -> Result<(), AmqpError> {
        if !method.active {
            return Err(AmqpError::not_implemented("active=false"));
        }
        let answer = channel::AMQPMethod::FlowOk(channel::FlowOk { active: true });
        self.send(origin.0, origin.1, AMQPClass::Channel(answer));
        Ok(())
    }

    fn exchange(
        &mut self,
        _now: Millis,
        origin: Origin,
        method: exchange::AMQPMethod,
    ) -> Result<(), AmqpError> {
        use exchange::AMQPMethod as M;
        self.age += 1;
        let (vhost, caller) = self.vhost_of(origin.0)?;
        let answer = match method {
            M::Declare(method) => {
                vhost.declare_exchange(&caller, &method)?;
                (!method.nowait).then_some(M::DeclareOk(exchange::DeclareOk {}))
            }
            M::Delete(method) => {
                vhost.delete_exchange(&caller, &method)?;
                (!method.nowait).then_some(M::DeleteOk(exchange::DeleteOk {}))
            }
            M::Bind(method) => {
                vhost.bind_exchange(&caller, &method)?;
                (!method.nowait).then_some(M::BindOk(exchange::BindOk {}))
            }
            M::Unbind(method) => {
                vhost.unbind_exchange(&caller, &method)?;
                (!method.nowait).then_some(M::UnbindOk(exchange::UnbindOk {}))
            }
            other => return Err(unexpected(&AMQPClass::Exchange(other))),
        };
        if let Some(answer) = answer {
            self.send(origin.0, origin.1, AMQPClass::Exchange(answer));
        }
        Ok(())
    }

    fn queue(&mut self, now: Millis, origin: Origin, method: queue::AMQPMethod) -> Result<(), AmqpError> {
        use queue::AMQPMethod as M;
        self.age += 1;
        let answer = match method {
            M::Declare(method) => self.declare_queue(now, origin, &method)?,
            M::Delete(method) => self.delete_queue(origin, method)?,
            M::Purge(method) => self.purge_queue(now, origin, method)?,
            M::Bind(mut method) => {
                // An empty name and an empty key both stand for the queue declared last.
                let name = self.queue_name(origin.0, origin.1, method.queue.as_str())?;
                if method.queue.as_str().is_empty() && method.routing_key.as_str().is_empty() {
                    method.routing_key = short(&name);
                }
                method.queue = short(&name);
                let (vhost, caller) = self.vhost_of(origin.0)?;
                vhost.bind_queue(&caller, &method)?;
                (!method.nowait).then_some(M::BindOk(queue::BindOk {}))
            }
            M::Unbind(mut method) => {
                let name = self.queue_name(origin.0, origin.1, method.queue.as_str())?;
                if method.queue.as_str().is_empty() && method.routing_key.as_str().is_empty() {
                    method.routing_key = short(&name);
                }
                method.queue = short(&name);
                let (vhost, caller) = self.vhost_of(origin.0)?;
                vhost.unbind_queue(&caller, &method)?;
                Some(M::UnbindOk(queue::UnbindOk {}))
            }
            other => return Err(unexpected(&AMQPClass::Queue(other))),
        };
        if let Some(answer) = answer {
            self.send(origin.0, origin.1, AMQPClass::Queue(answer));
        }
        Ok(())
    }

    fn declare_queue(
        &mut self,
        now: Millis,
        origin: Origin,
        method: &queue::Declare,
    ) -> Result<Option<queue::AMQPMethod>, AmqpError> {
        let vhost_name = self.vhost_of(origin.0)?.0.name.clone();
        if let Some(answer) = self.declare_reply_queue(&vhost_name, method)? {
            return Ok((!method.nowait).then_some(answer));
        }
        let (vhost, caller) = self.vhost_of(origin.0)?;
        let declared = vhost.declare_queue(now, &caller, method)?;
        self.channel(origin.0, origin.1)?.last_queue = Some(declared.name.clone());
        self.touch_queue(&vhost_name, &declared.name);
        let answer = queue::AMQPMethod::DeclareOk(queue::DeclareOk {
            queue: short(&declared.name),
            message_count: declared.messages,
            consumer_count: declared.consumers,
        });
        Ok((!method.nowait).then_some(answer))
    }

    fn delete_queue(
        &mut self,
        origin: Origin,
        mut method: queue::Delete,
    ) -> Result<Option<queue::AMQPMethod>, AmqpError> {
        method.queue = short(&self.queue_name(origin.0, origin.1, method.queue.as_str())?);
        let (vhost, caller) = self.vhost_of(origin.0)?;
        let vhost_name = vhost.name.clone();
        let mut message_count = 0;
        if let Some(queue) = vhost.delete_queue(&caller, &method)? {
            // A stream tells none: `rabbit_stream_coordinator.erl`, `delete_stream`.
            if !queue.is_stream() {
                message_count = u32::try_from(queue.counts().ready).unwrap_or(u32::MAX);
            }
            self.bury(&vhost_name, queue);
        }
        let answer = queue::AMQPMethod::DeleteOk(queue::DeleteOk { message_count });
        Ok((!method.nowait).then_some(answer))
    }

    fn purge_queue(
        &mut self,
        now: Millis,
        origin: Origin,
        mut method: queue::Purge,
    ) -> Result<Option<queue::AMQPMethod>, AmqpError> {
        let name = self.queue_name(origin.0, origin.1, method.queue.as_str())?;
        method.queue = short(&name);
        let (vhost, caller) = self.vhost_of(origin.0)?;
        let vhost_name = vhost.name.clone();
        let purged = vhost.purge_queue(now, &caller, &method)?;
        self.history.note_all(purged.iter().map(|entry| &*entry.message), &name, &Fate::Purged);
        self.touch_queue(&vhost_name, &name);
        let message_count = u32::try_from(purged.len()).unwrap_or(u32::MAX);
        let answer = queue::AMQPMethod::PurgeOk(queue::PurgeOk { message_count });
        Ok((!method.nowait).then_some(answer))
    }
}

/// A method that only a broker sends, or that has no place on this channel: `rabbit_channel.erl`, the last `handle_method`.
fn unexpected(method: &AMQPClass) -> AmqpError {
    AmqpError::command_invalid(format!(
        "unimplemented method: class {}, method {}",
        method.get_amqp_class_id(),
        method.get_amqp_method_id()
    ))
}
