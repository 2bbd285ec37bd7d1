//! Faults that strike inside the core: around a method, and in the confirms.

use amq_protocol::protocol::basic::{AMQPMethod, Cancel};
use amq_protocol::protocol::{AMQPClass, connection};

use super::connection::Connection;
use super::effect::{Command, Output};
use super::history::Fate;
use super::publish::short;
use super::queue::Return;
use super::state::Core;
use super::{AmqpError, ChannelId, ConnectionId, Message, Millis};
use crate::faults::{ConfirmOrder, Fault};

impl Core {
    /// Applies the faults that strike instead of a method; returns `true` if the method is not to be handled.
    pub(super) fn strike_before(
        &mut self,
        (connection, channel): (ConnectionId, ChannelId),
        faults: &[Fault],
    ) -> bool {
        for fault in faults {
            match fault {
                Fault::CutConnection => self.effects.push((connection, Output::Cut)),
                Fault::CloseConnection { code, text } => {
                    let error = AmqpError { code: *code, text: text.clone() };
                    self.effects.push((connection, Output::CloseConnection(error)));
                }
                Fault::CloseChannel { code, text } => {
                    let error = AmqpError { code: *code, text: text.clone() };
                    self.effects.push((connection, Output::CloseChannel(channel, error)));
                }
                _ => continue,
            }
            return true;
        }
        false
    }

    /// Applies the faults that strike after a method.
    pub(super) fn strike_after(&mut self, now: Millis, connection: ConnectionId, faults: Vec<Fault>) {
        for fault in faults {
            if !fault.is_instead() {
                self.strike_connection(now, connection, fault);
            }
        }
    }

    /// Applies a fault to a connection, outside any method.
    pub(crate) fn strike_connection(&mut self, now: Millis, connection: ConnectionId, fault: Fault) {
        match fault {
            Fault::CutConnection | Fault::CutConnectionAfter => {
                self.effects.retain(|(to, _)| *to != connection);
                self.effects.push((connection, Output::Cut));
            }
            Fault::HalfOpen => self.effects.push((connection, Output::Mute)),
            Fault::Swallow => self.effects.push((connection, Output::Swallow)),
            Fault::PauseReading(time) => self.effects.push((connection, Output::PauseReading(time))),
            Fault::CloseConnection { code, text } => {
                self.effects.push((connection, Output::CloseConnection(AmqpError { code, text })));
            }
            Fault::CloseChannel { code, text } => {
                self.close_all_channels(connection, &AmqpError { code, text });
            }
            Fault::Block { reason } => {
                let reason = short(&reason);
                let method = connection::AMQPMethod::Blocked(connection::Blocked { reason });
                self.send(connection, 0, AMQPClass::Connection(method));
                self.effects.push((connection, Output::Block(true)));
            }
            Fault::Unblock => {
                let method = connection::AMQPMethod::Unblocked(connection::Unblocked {});
                self.send(connection, 0, AMQPClass::Connection(method));
                self.effects.push((connection, Output::Block(false)));
            }
            Fault::CancelConsumers => self.cancel_consumers(now, connection),
            Fault::Redeliver => self.redeliver(now, connection),
            // Both concern one publish and were applied with it.
            Fault::Nack | Fault::WithholdConfirm => {}
        }
        self.settle(now);
    }

    /// Applies a fault to the connections whose client's name contains a text; the empty one is in every name and in none.
    pub(crate) fn strike_named(&mut self, now: Millis, name: &str, fault: &Fault) {
        let is_meant = |open: &Connection| {
            name.is_empty() || open.client_name().is_some_and(|client| client.contains(name))
        };
        let meant = self.connections.iter().filter(|(_, open)| is_meant(open));
        let mut connections: Vec<_> = meant.map(|(connection, _)| *connection).collect();
        connections.sort_unstable();
        for connection in connections {
            self.strike_connection(now, connection, fault.clone());
        }
    }

    fn close_all_channels(&mut self, connection: ConnectionId, error: &AmqpError) {
        let Some(open) = self.connections.get(&connection) else { return };
        let mut channels: Vec<_> = open.channels.keys().copied().collect();
        channels.sort_unstable();
        for channel in channels {
            self.effects.push((connection, Output::CloseChannel(channel, error.clone())));
        }
    }

    fn cancel_consumers(&mut self, now: Millis, connection: ConnectionId) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        let vhost = open.vhost.clone();
        let is_told = open.has_capability("consumer_cancel_notify");
        let mut consumers = Vec::new();
        for (&channel, state) in &mut open.channels {
            consumers.extend(state.consumers.drain().map(|(tag, queue)| (channel, tag, queue)));
        }
        consumers.sort();
        for (channel, tag, queue) in consumers {
            if is_told {
                let method = Cancel { consumer_tag: short(&tag), nowait: true };
                self.send_basic(connection, channel, AMQPMethod::Cancel(method));
            }
            self.unsubscribe(now, &vhost, &queue, &super::ConsumerKey { connection, channel, tag });
        }
    }

    fn redeliver(&mut self, now: Millis, connection: ConnectionId) {
        let Some(open) = self.connections.get_mut(&connection) else { return };
        let vhost = open.vhost.clone();
        let mut channels: Vec<_> = open.channels.iter_mut().collect();
        channels.sort_by_key(|(number, _)| **number);
        let unacked: Vec<_> = channels.into_iter().flat_map(|(_, channel)| channel.drain()).collect();
        self.give_back(now, &vhost, unacked, Return::Nack);
    }

    /// Refuses a message that a fault asks to refuse.
    pub(super) fn refuse_publish(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
        message: &Message,
        sequence: Option<u64>,
    ) {
        self.history.note(message, &"".into(), || Fate::Refused);
        self.confirm(connection, channel, sequence, false);
    }

    /// Sends waiting confirms in the order that the test asked for.
    pub(super) fn flush_confirms(&mut self, connection: ConnectionId, channel: ChannelId) {
        let Self { connections, effects, faults, .. } = self;
        let open = connections.get_mut(&connection).and_then(|open| open.channels.get_mut(&channel));
        let Some(confirms) = open.and_then(|channel| channel.confirms.as_mut()) else { return };
        let send = |method| effects.push((connection, Output::Method(channel, AMQPClass::Basic(method))));
        match faults.order {
            ConfirmOrder::Coalesced => confirms.flush(send),
            ConfirmOrder::Single => confirms.flush_single(false, send),
            ConfirmOrder::Reversed => confirms.flush_single(true, send),
            ConfirmOrder::Adversarial => {
                let rng = faults.shuffle.get_or_insert_with(fastrand::Rng::new);
                confirms.flush_adversarial(rng, send);
            }
        }
    }

    /// Flushes the confirms that a fault delayed.
    pub(crate) fn flush_delayed(&mut self) {
        for (connection, channel) in std::mem::take(&mut self.unflushed) {
            self.flush_confirms(connection, channel);
        }
    }

    /// Lets every confirm go that was withheld.
    pub(crate) fn release_confirms(&mut self) {
        self.faults.withholds = false;
        let mut flush = Vec::new();
        for (&connection, open) in &mut self.connections {
            for (&number, channel) in &mut open.channels {
                if let Some(confirms) = &mut channel.confirms {
                    confirms.release();
                    flush.push((connection, number));
                }
            }
        }
        flush.sort_unstable();
        for (connection, channel) in flush {
            self.flush_confirms(connection, channel);
        }
    }
}

/// The methods that faults count, but `basic.publish`: a command of its own, because it comes with its body.
const METHODS: [((u16, u16), &str); 25] = [
    ((20, 20), "channel.flow"),
    ((30, 10), "access.request"),
    ((40, 10), "exchange.declare"),
    ((40, 20), "exchange.delete"),
    ((40, 30), "exchange.bind"),
    ((40, 40), "exchange.unbind"),
    ((50, 10), "queue.declare"),
    ((50, 20), "queue.bind"),
    ((50, 30), "queue.purge"),
    ((50, 40), "queue.delete"),
    ((50, 50), "queue.unbind"),
    ((60, 10), "basic.qos"),
    ((60, 20), "basic.consume"),
    ((60, 30), "basic.cancel"),
    ((60, 31), "basic.cancel-ok"),
    ((60, 70), "basic.get"),
    ((60, 80), "basic.ack"),
    ((60, 90), "basic.reject"),
    ((60, 100), "basic.recover-async"),
    ((60, 110), "basic.recover"),
    ((60, 120), "basic.nack"),
    ((85, 10), "confirm.select"),
    ((90, 10), "tx.select"),
    ((90, 20), "tx.commit"),
    ((90, 30), "tx.rollback"),
];

/// Returns whether a fault can strike at a method.
pub(crate) fn is_counted(method: &str) -> bool {
    method == PUBLISH || METHODS.iter().any(|(_, name)| *name == method)
}

const PUBLISH: &str = "basic.publish";

/// Returns the name of a command's method, such as `basic.publish`.
pub(super) fn method_name(command: &Command) -> &'static str {
    let Command::Method(method) = command else { return PUBLISH };
    let id = (method.get_amqp_class_id(), method.get_amqp_method_id());
    METHODS.iter().find(|(known, _)| *known == id).map_or("other", |(_, name)| name)
}
