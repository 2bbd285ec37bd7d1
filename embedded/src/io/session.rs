//! An open connection: its channels, and which frames are allowed on them. `rabbit_reader.erl`, `handle_frame`.

use std::collections::HashMap;

use amq_protocol::protocol::channel::{AMQPMethod as ChannelMethod, CloseOk, OpenOk};
use amq_protocol::protocol::connection::{self, AMQPMethod as ConnectionMethod, TuneOk};
use amq_protocol::protocol::{AMQPClass, basic};

use super::assembly::{Assembly, Complete};
use super::fault::{Fault, MethodId, close_channel};
use super::frame::{Frame, Part};
use super::method::read_method0;
use crate::core::{AmqpError, ChannelId, Command, ConnectionId, Core, Millis, Scope};

/// An open connection as its client sees it.
#[derive(Debug)]
pub(crate) struct Session {
    connection: ConnectionId,
    tuned: TuneOk,
    channels: HashMap<ChannelId, Slot>,
}

/// A channel that exists for the reader; only an open one exists for the core.
#[derive(Debug, Default)]
struct Slot {
    state: State,
    assembly: Assembly,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Frames came, but no `channel.open`.
    #[default]
    Starting,
    Open,
    /// The broker closed it and waits for `channel.close-ok`; all else is ignored.
    Closing,
}

/// What is to be sent once the effects of the core have gone out.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// Nothing.
    None,
    /// A method.
    Send(ChannelId, AMQPClass),
    /// The client closes the connection: `connection.close-ok`, then it hangs up.
    CloseOk,
}

// === impl Session ===

impl Session {
    /// An open connection without channels.
    pub(crate) fn new(connection: ConnectionId, tuned: &TuneOk) -> Self {
        Self { connection, tuned: tuned.clone(), channels: HashMap::new() }
    }

    /// Returns what the core knows the connection by.
    pub(crate) fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Returns how large a frame may be.
    pub(crate) fn frame_max(&self) -> u32 {
        self.tuned.frame_max
    }

    /// Returns the seconds between heartbeats; 0 is none.
    pub(crate) fn heartbeat(&self) -> u16 {
        self.tuned.heartbeat
    }

    /// Takes the next frame.
    pub(crate) fn frame(&mut self, now: Millis, frame: &Frame<'_>, core: &mut Core) -> Result<Reply, Fault> {
        let part = frame.part()?;
        match (frame.channel, part) {
            (0, Part::Heartbeat) => Ok(Reply::None),
            (0, Part::Method(class, method, fields)) => method0((class, method), fields),
            (0, Part::Header { .. } | Part::Body(_)) | (_, Part::Heartbeat) => Err(frame.unexpected()),
            (channel, part) => self.part(now, channel, part, core),
        }
    }

    /// `rabbit_reader.erl`, `process_frame`: the first frame on a channel makes it count, whatever it is.
    fn part(
        &mut self,
        now: Millis,
        channel: ChannelId,
        part: Part<'_>,
        core: &mut Core,
    ) -> Result<Reply, Fault> {
        let opened = self.channels.len();
        let channel_max = self.tuned.channel_max;
        let slot = match self.channels.entry(channel) {
            std::collections::hash_map::Entry::Occupied(slot) => slot.into_mut(),
            std::collections::hash_map::Entry::Vacant(_)
                if channel_max != 0 && opened >= channel_max.into() =>
            {
                let text = format!(
                    "number of channels opened ({opened}) has reached the negotiated channel_max ({channel_max})"
                );
                return Err(Fault::close(AmqpError::not_allowed(text)));
            }
            std::collections::hash_map::Entry::Vacant(slot) => slot.insert(Slot::default()),
        };
        let Some(complete) = slot.assembly.next(part)? else { return Ok(Reply::None) };
        match slot.state {
            State::Open => self.complete(now, channel, complete, core),
            State::Starting => self.starting(channel, &complete, core),
            State::Closing => self.closing(channel, &complete),
        }
    }

    fn starting(&mut self, channel: ChannelId, complete: &Complete, core: &mut Core) -> Result<Reply, Fault> {
        if let Complete::Method(_, AMQPClass::Channel(ChannelMethod::Open(_))) = complete {
            self.channels.entry(channel).or_default().state = State::Open;
            core.open_channel(self.connection, channel);
            return Ok(send(channel, ChannelMethod::OpenOk(OpenOk {})));
        }
        Err(Fault::Close(AmqpError::channel_error("expected 'channel.open'"), complete.id()))
    }

    /// `rabbit_channel.erl`, `handle_method` in the state `closing`.
    fn closing(&mut self, channel: ChannelId, complete: &Complete) -> Result<Reply, Fault> {
        let Complete::Method(id, AMQPClass::Channel(method)) = complete else { return Ok(Reply::None) };
        match method {
            ChannelMethod::CloseOk(_) => {
                self.channels.remove(&channel);
                Ok(Reply::None)
            }
            ChannelMethod::Close(_) => Ok(send(channel, ChannelMethod::CloseOk(CloseOk {}))),
            ChannelMethod::Open(_) => Err(second_open(*id)),
            _ => Ok(Reply::None),
        }
    }

    fn complete(
        &mut self,
        now: Millis,
        channel: ChannelId,
        complete: Complete,
        core: &mut Core,
    ) -> Result<Reply, Fault> {
        let id = complete.id();
        let command = match complete {
            Complete::Publish(method, properties, body) => Command::Publish { method, properties, body },
            Complete::Method(_, AMQPClass::Channel(ChannelMethod::Close(_))) => {
                self.channels.remove(&channel);
                core.close_channel(now, self.connection, channel);
                return Ok(send(channel, ChannelMethod::CloseOk(CloseOk {})));
            }
            Complete::Method(_, AMQPClass::Channel(ChannelMethod::Open(_))) => return Err(second_open(id)),
            Complete::Method(_, method) if !is_for_brokers(&method) => return Err(unimplemented_method(id)),
            Complete::Method(_, method) => Command::Method(method),
            Complete::Unimplemented(_) => return Err(unimplemented_method(id)),
        };
        match core.receive(now, self.connection, channel, command) {
            Ok(()) => Ok(Reply::None),
            Err(error) if error.scope() == Scope::Channel => {
                self.close_channel(now, channel, &error, id, core)
            }
            Err(error) => Err(Fault::Close(error, id)),
        }
    }

    /// Closes a channel for an error, or because the broker wants to. One that is not open stays as it is.
    pub(crate) fn close_channel(
        &mut self,
        now: Millis,
        channel: ChannelId,
        error: &AmqpError,
        id: MethodId,
        core: &mut Core,
    ) -> Result<Reply, Fault> {
        match self.channels.get_mut(&channel) {
            Some(slot) if slot.state == State::Open => slot.state = State::Closing,
            _ => return Ok(Reply::None),
        }
        core.close_channel(now, self.connection, channel);
        Ok(Reply::Send(channel, close_channel(error, id)?))
    }

    /// Returns whether a channel is open; `None` if it may be opened.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn channel(&self, channel: ChannelId) -> Option<bool> {
        self.channels.get(&channel).map(|slot| slot.state == State::Open)
    }

    /// Whether the core knows this channel as open.
    pub(crate) fn is_open(&self, channel: ChannelId) -> bool {
        channel == 0 || self.channels.get(&channel).is_some_and(|slot| slot.state == State::Open)
    }
}

// === impl Complete ===

impl Complete {
    fn id(&self) -> MethodId {
        match self {
            Self::Method(id, _) | Self::Unimplemented(id) => *id,
            Self::Publish(..) => (60, 40),
        }
    }
}

/// Handles a method of channel 0.
fn method0((class, method): MethodId, fields: &[u8]) -> Result<Reply, Fault> {
    match read_method0(class, method, fields)? {
        AMQPClass::Connection(ConnectionMethod::Close(_)) => Ok(Reply::CloseOk),
        // Internal users have no secret that expires: `rabbit_auth_backend_internal.erl`, `update_state`.
        AMQPClass::Connection(ConnectionMethod::UpdateSecret(_)) => {
            let ok = ConnectionMethod::UpdateSecretOk(connection::UpdateSecretOk {});
            Ok(Reply::Send(0, AMQPClass::Connection(ok)))
        }
        _ => {
            let error = AmqpError::channel_error("unexpected method in connection state running");
            Err(Fault::Close(error, (class, method)))
        }
    }
}

fn send(channel: ChannelId, method: ChannelMethod) -> Reply {
    Reply::Send(channel, AMQPClass::Channel(method))
}

fn second_open(id: MethodId) -> Fault {
    Fault::Close(AmqpError::channel_error("second 'channel.open' seen"), id)
}

/// `rabbit_channel.erl`, the last clause of `handle_method`.
fn unimplemented_method(id: MethodId) -> Fault {
    Fault::Close(AmqpError::command_invalid("unimplemented method"), id)
}

/// Whether a method is one that a client sends on a channel.
fn is_for_brokers(method: &AMQPClass) -> bool {
    use amq_protocol::protocol::{access, confirm, exchange, queue, tx};
    match method {
        AMQPClass::Connection(_) => false,
        AMQPClass::Channel(method) => matches!(method, ChannelMethod::Flow(_)),
        AMQPClass::Access(method) => matches!(method, access::AMQPMethod::Request(_)),
        AMQPClass::Exchange(method) => matches!(
            method,
            exchange::AMQPMethod::Declare(_)
                | exchange::AMQPMethod::Delete(_)
                | exchange::AMQPMethod::Bind(_)
                | exchange::AMQPMethod::Unbind(_)
        ),
        AMQPClass::Queue(method) => matches!(
            method,
            queue::AMQPMethod::Declare(_)
                | queue::AMQPMethod::Delete(_)
                | queue::AMQPMethod::Purge(_)
                | queue::AMQPMethod::Bind(_)
                | queue::AMQPMethod::Unbind(_)
        ),
        AMQPClass::Basic(method) => matches!(
            method,
            basic::AMQPMethod::Qos(_)
                | basic::AMQPMethod::Consume(_)
                | basic::AMQPMethod::Cancel(_)
                | basic::AMQPMethod::CancelOk(_)
                | basic::AMQPMethod::Get(_)
                | basic::AMQPMethod::Ack(_)
                | basic::AMQPMethod::Reject(_)
                | basic::AMQPMethod::Nack(_)
                | basic::AMQPMethod::Recover(_)
                | basic::AMQPMethod::RecoverAsync(_)
        ),
        AMQPClass::Confirm(method) => matches!(method, confirm::AMQPMethod::Select(_)),
        AMQPClass::Tx(method) => matches!(
            method,
            tx::AMQPMethod::Select(_) | tx::AMQPMethod::Commit(_) | tx::AMQPMethod::Rollback(_)
        ),
    }
}
