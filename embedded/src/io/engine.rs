//! All connections and the core, without sockets: bytes and the time in, bytes out.

use std::collections::{HashMap, VecDeque};

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::connection::{AMQPMethod, CloseOk};
use bytes::Bytes;

use super::answers::Answers;
use super::fault::{Fault, MethodId, close_connection};
use super::frame::{self, FRAME_MIN_SIZE, Frame, Part};
use super::handshake::{Handshake, PROTOCOL_HEADER, Step, negotiate};
use super::limits::Limits;
use super::login;
use super::peer::{Peer, PeerId, Phase, Status};
use super::session::Reply;
use crate::core::{AmqpError, ConnectionId, Core, Millis, Output};
use crate::inspect::State;

/// So many copies of messages may a connection put into queues in one turn, and one publish more.
const COPIES: u64 = 2000;

/// All connections and the core.
#[derive(Debug)]
pub(crate) struct Engine {
    /// The core.
    pub(crate) core: Core,
    /// What happens to answers.
    pub(crate) answers: Answers,
    limits: Limits,
    peers: HashMap<PeerId, Peer>,
    last_peer: PeerId,
    by_connection: HashMap<ConnectionId, PeerId>,
    /// What the core wants to have written.
    effects: VecDeque<(ConnectionId, Output)>,
}

// === impl Engine ===

impl Engine {
    /// An engine without connections.
    pub(crate) fn new(core: Core, limits: Limits) -> Self {
        Self {
            core,
            answers: Answers::default(),
            limits,
            peers: HashMap::new(),
            last_peer: 0,
            by_connection: HashMap::new(),
            effects: VecDeque::new(),
        }
    }

    /// Begins a connection.
    pub(crate) fn accept(&mut self) -> (PeerId, std::sync::Arc<tokio::sync::Notify>) {
        self.last_peer += 1;
        let peer = Peer::new();
        let wake = std::sync::Arc::clone(&peer.wake);
        self.peers.insert(self.last_peer, peer);
        (self.last_peer, wake)
    }

    /// Takes what a connection sent; returns how many bytes were used up. `name` is both ends of the connection.
    ///
    /// It stops early when the client reads too slowly what its own commands produce.
    pub(crate) fn receive(&mut self, now: Millis, id: PeerId, name: &str, input: &[u8]) -> usize {
        let mut used = 0;
        let begin = self.core.copies();
        let mut is_cut_short = false;
        while let Some(size) = self.receive_one(now, id, name, &input[used..]) {
            used += size;
            // Others must get their turn, too.
            is_cut_short = self.core.copies() - begin > COPIES && used < input.len();
            if is_cut_short {
                break;
            }
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.has_more = is_cut_short;
        }
        if let Some(Peer { phase: Phase::Open(session), .. }) = self.peers.get(&id) {
            self.core.end_of_batch(now, session.connection());
        }
        self.flush(now);
        used
    }

    /// Takes one frame; `None` if there is no complete one or none is wanted.
    fn receive_one(&mut self, now: Millis, id: PeerId, name: &str, input: &[u8]) -> Option<usize> {
        let Self { core, answers, limits, peers, .. } = self;
        let peer = peers.get_mut(&id)?;
        let frame_max = match &mut peer.phase {
            Phase::Header => {
                let header = input.first_chunk()?;
                match negotiate(*header) {
                    Ok(start) => {
                        answers.method(peer, 0, &start);
                        peer.phase = Phase::Handshake(Box::new(Handshake::new(name.to_owned(), *limits)));
                    }
                    Err(other) => {
                        peer.outbox.raw(&other);
                        peer.phase = Phase::Ended;
                    }
                }
                return Some(PROTOCOL_HEADER.len());
            }
            Phase::Handshake(handshake) => handshake.frame_max(),
            Phase::Open(_) if peer.is_full || peer.is_mute || peer.is_blocked || peer.pause.is_some() => {
                return None;
            }
            Phase::Open(_) if peer.is_swallowing => return (!input.is_empty()).then_some(input.len()),
            Phase::Open(session) => session.frame_max(),
            Phase::Closing => limits.frame_max.max(FRAME_MIN_SIZE),
            Phase::Deaf | Phase::Ended | Phase::Cut => return (!input.is_empty()).then_some(input.len()),
        };
        let frame = match frame::read(input, frame_max) {
            Ok(frame) => frame?,
            Err(fault) => {
                self.fail(now, id, fault);
                return Some(input.len());
            }
        };
        let reply = match &mut peer.phase {
            Phase::Handshake(handshake) => match handshake.frame(now, &frame, core) {
                Ok(Step::Quiet) => Ok(Reply::None),
                Ok(Step::Send(method)) => {
                    peer.client_name = handshake.client_name().map(str::to_owned);
                    Ok(Reply::Send(0, method))
                }
                Ok(Step::Open(method, session)) => {
                    peer.heartbeat = session.heartbeat();
                    self.by_connection.insert(session.connection(), id);
                    peer.phase = Phase::Open(session);
                    Ok(Reply::Send(0, method))
                }
                Err(fault) => Err(fault),
            },
            Phase::Open(session) => session.frame(now, &frame, core),
            _ => Ok(peer.closing(&frame)),
        };
        self.answer(now, id, reply);
        Some(frame.len())
    }

    fn answer(&mut self, now: Millis, id: PeerId, reply: Result<Reply, Fault>) {
        self.flush(now);
        match reply {
            Ok(Reply::None) => {}
            Ok(Reply::Send(channel, method)) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    self.answers.method(peer, channel, &method);
                }
                self.hold_back(now, id);
            }
            Ok(Reply::CloseOk) => self.close(now, id, Phase::Closing, Some(&close_ok())),
            Err(fault) => self.fail(now, id, fault),
        }
    }

    /// Ends a connection for what its client did.
    fn fail(&mut self, now: Millis, id: PeerId, fault: Fault) {
        let Some(peer) = self.peers.get(&id) else { return };
        let is_told = match &peer.phase {
            Phase::Handshake(handshake) => handshake.is_trusted() || login::is_refused(&fault),
            Phase::Open(_) => true,
            _ => false,
        };
        tracing::debug!(peer = id, ?fault, is_told, "connection ends");
        match fault {
            Fault::Close(error, method) if is_told => {
                self.close_with(now, id, Phase::Closing, &error, method);
            }
            Fault::Deaf(error) if is_told => self.close_with(now, id, Phase::Deaf, &error, (0, 0)),
            _ => self.close(now, id, Phase::Ended, None),
        }
    }

    /// Ends a connection with an error, without a word if the error's text does not fit.
    fn close_with(&mut self, now: Millis, id: PeerId, phase: Phase, error: &AmqpError, method: MethodId) {
        match close_connection(error, method) {
            Some(method) => self.close(now, id, phase, Some(&method)),
            None => self.close(now, id, Phase::Ended, None),
        }
    }

    /// Ends a connection: the core forgets it, then it is told. What follows for the others waits for the next flush.
    fn close(&mut self, now: Millis, id: PeerId, phase: Phase, method: Option<&AMQPClass>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let old = std::mem::replace(&mut peer.phase, phase);
        if let Phase::Open(session) = old {
            self.by_connection.remove(&session.connection());
            self.core.disconnect(now, session.connection());
        }
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.is_full = false;
            peer.is_blocked = false;
            if let Some(method) = method {
                self.answers.method(peer, 0, method);
            }
            peer.wake.notify_one();
        }
    }

    /// The socket is gone.
    pub(crate) fn lost(&mut self, now: Millis, id: PeerId) {
        self.close(now, id, Phase::Ended, None);
        self.flush(now);
        self.peers.remove(&id);
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Millis) {
        self.core.tick(now);
        self.flush(now);
    }

    /// Closes every connection, as RabbitMQ does when it stops: `rabbit_reader.erl`, `handle_other`.
    pub(crate) fn close_all(&mut self, now: Millis) {
        let ids: Vec<PeerId> = self.peers.keys().copied().collect();
        for id in ids {
            let is_open = self.peers.get(&id).is_some_and(|peer| matches!(peer.phase, Phase::Open(_)));
            let error =
                AmqpError::connection_forced("broker forced connection closure with reason 'shutdown'");
            let method = is_open.then(|| close_connection(&error, (0, 0))).flatten();
            self.close(now, id, Phase::Ended, method.as_ref());
            self.flush(now);
        }
    }

    /// The socket took so many bytes of what was to be written.
    pub(crate) fn written(&mut self, now: Millis, id: PeerId, bytes: usize) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.outbox.written(bytes);
        if !peer.is_full || !peer.outbox.has_room() {
            return;
        }
        peer.is_full = false;
        if let Phase::Open(session) = &peer.phase {
            self.core.set_full(now, session.connection(), false);
            self.flush(now);
        }
    }

    /// Returns what a connection's task has to know, with what is to be written next; `None` if there is no such connection.
    pub(crate) fn poll(&mut self, id: PeerId, output: &mut VecDeque<Bytes>) -> Option<Status> {
        let peer = self.peers.get_mut(&id)?;
        if !peer.is_mute {
            peer.outbox.take(output);
        }
        Some(peer.status())
    }

    /// Writes a heartbeat to a connection that is otherwise silent.
    pub(crate) fn beat(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.beat();
        }
    }

    /// Returns how many bytes wait to be written to a connection.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn pending(&self, id: PeerId) -> usize {
        self.peers.get(&id).map_or(0, |peer| peer.outbox.pending())
    }

    /// Returns whether a channel is open; `None` if it may be opened.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn channel(&self, id: PeerId, channel: crate::core::ChannelId) -> Option<bool> {
        match &self.peers.get(&id)?.phase {
            Phase::Open(session) => session.channel(channel),
            _ => None,
        }
    }

    /// Returns whether a connection is open.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_open(&self, id: PeerId) -> bool {
        self.peers.get(&id).is_some_and(|peer| matches!(peer.phase, Phase::Open(_)))
    }

    /// Sends what a fault held back.
    pub(crate) fn release_answers(&mut self, now: Millis) {
        self.answers.hold_nothing();
        let mut released = Vec::new();
        for (&id, peer) in &mut self.peers {
            for (_, held) in std::mem::take(&mut peer.held) {
                peer.outbox.append(held);
                peer.wake.notify_one();
                released.push(id);
            }
        }
        released.into_iter().for_each(|id| self.hold_back(now, id));
    }

    /// Returns everything that the broker holds.
    pub(crate) fn snapshot(&self, now: Millis) -> State {
        let mut state = self.core.snapshot(now);
        state.held_channels = self.peers.values().map(|peer| peer.held.len() as u64).sum();
        state
    }

    /// Hands out what the core wants to have written, in its order.
    pub(crate) fn flush(&mut self, now: Millis) {
        loop {
            self.core.drain_effects(now, &mut self.effects);
            let Some((connection, output)) = self.effects.pop_front() else { return };
            self.output(now, connection, output);
        }
    }

    fn output(&mut self, now: Millis, connection: ConnectionId, output: Output) {
        let Some(&id) = self.by_connection.get(&connection) else { return };
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let Phase::Open(session) = &mut peer.phase else { return };
        if peer.outbox.is_empty() {
            peer.wake.notify_one();
        }
        match output {
            _ if peer.is_mute => {}
            Output::Method(channel, method) if session.is_open(channel) => {
                self.answers.method(peer, channel, &method);
            }
            Output::Content { channel, carrier, message, properties } if session.is_open(channel) => {
                let frame_max = session.frame_max();
                self.answers.content(peer, channel, &carrier, &message, properties.as_ref(), frame_max);
            }
            // The channel was closed since: `rabbit_channel.erl`, `send`.
            Output::Method(..) | Output::Content { .. } => {}
            Output::CloseChannel(channel, error) => {
                // Nothing of this channel goes out from here on, so its effects need not be waited for.
                match session.close_channel(now, channel, &error, (0, 0), &mut self.core) {
                    Ok(Reply::Send(channel, method)) => self.answers.method(peer, channel, &method),
                    Ok(_) => {}
                    Err(fault) => self.fail(now, id, fault),
                }
            }
            Output::CloseConnection(error) => {
                self.close_with(now, id, Phase::Closing, &error, (0, 0));
            }
            Output::Cut => {
                peer.outbox.clear();
                self.close(now, id, Phase::Cut, None);
            }
            Output::Mute => {
                peer.outbox.clear();
                peer.is_mute = true;
            }
            Output::Swallow => peer.is_swallowing = true,
            Output::PauseReading(time) => peer.pause = Some(time),
            Output::Block(is_blocked) => peer.is_blocked = is_blocked,
        }
        self.hold_back(now, id);
    }

    /// Stops deliveries to a client that is too slow.
    fn hold_back(&mut self, now: Millis, id: PeerId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        if peer.is_full || !peer.outbox.is_full() {
            return;
        }
        peer.is_full = true;
        if let Phase::Open(session) = &peer.phase {
            self.core.set_full(now, session.connection(), true);
        }
    }
}

// === impl Peer ===

impl Peer {
    /// A frame after the connection was closed: `rabbit_reader.erl`, `handle_frame` when stopping.
    fn closing(&mut self, frame: &Frame<'_>) -> Reply {
        if frame.channel == 0 {
            match frame.part() {
                Ok(Part::Method(10, 50, _)) => return Reply::Send(0, close_ok()),
                Ok(Part::Method(10, 51, _)) => self.phase = Phase::Ended,
                _ => {}
            }
        }
        Reply::None
    }
}

fn close_ok() -> AMQPClass {
    AMQPClass::Connection(AMQPMethod::CloseOk(CloseOk {}))
}

#[cfg(test)]
mod tests;
