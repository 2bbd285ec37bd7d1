//! One connection inside the engine: where it stands, and what is to be written to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::encode::HEARTBEAT_FRAME;
use super::handshake::Handshake;
use super::outbox::Outbox;
use super::session::Session;
use crate::core::ChannelId;

/// Names a connection from its first byte on.
pub(crate) type PeerId = u64;

/// Where a connection stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The protocol header has not come.
    Header,
    /// On its way to `connection.open-ok`.
    Handshake(Box<Handshake>),
    /// Open.
    Open(Session),
    /// Closed by one side; the client is to answer or to hang up.
    Closing,
    /// Closed by the broker, which no longer understands what comes.
    Deaf,
    /// Ends as soon as everything is written.
    Ended,
    /// Ends now, with a TCP reset.
    Cut,
}

/// How long a connection lingers that was closed; RabbitMQ waits as long for a `connection.close-ok`.
const CLOSING: Duration = Duration::from_secs(30);
/// How long a connection lingers that could not be understood: `rabbit_reader.erl`, `SILENT_CLOSE_DELAY`.
const DEAF: Duration = Duration::from_secs(3);

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// What is to be written.
    pub(crate) outbox: Outbox,
    /// A fault: what is held back, by channel.
    pub(crate) held: BTreeMap<ChannelId, Outbox>,
    /// What the client calls itself.
    pub(crate) client_name: Option<String>,
    /// Whether the core was told that the outbox is full.
    pub(crate) is_full: bool,
    /// Whether its turn ended before what it sent was used up.
    pub(crate) has_more: bool,
    /// A fault: it neither reads nor writes any more.
    pub(crate) is_mute: bool,
    /// A fault: what it reads is not handled.
    pub(crate) is_swallowing: bool,
    /// A fault: it does not read until it is unblocked.
    pub(crate) is_blocked: bool,
    /// A fault: it does not read for so long; taken by the task.
    pub(crate) pause: Option<Duration>,
    /// Seconds between heartbeats; 0 is none.
    pub(crate) heartbeat: u16,
    /// Wakes the task that owns the socket.
    pub(crate) wake: Arc<Notify>,
}

/// What the task that owns the socket has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// Whether to read.
    pub(crate) reads: bool,
    /// Whether to go on with what was read, after the others have had their turn.
    pub(crate) has_more: bool,
    /// Whether the engine waits to hear that more was written.
    pub(crate) is_full: bool,
    /// Whether to hang up when everything is written, or at once with a reset.
    pub(crate) end: Option<End>,
    /// Whether the client may take its time: the connection is open.
    pub(crate) is_open: bool,
    /// How long the connection may linger now that it is closed.
    pub(crate) linger: Option<Duration>,
    /// Reading starts again after this time.
    pub(crate) pause: Option<Duration>,
    /// Seconds between heartbeats; 0 is none.
    pub(crate) heartbeat: u16,
}

/// How a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// After everything is written.
    Close,
    /// At once.
    Reset,
}

// === impl Peer ===

impl Peer {
    /// A connection of which nothing was read.
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Header,
            outbox: Outbox::default(),
            held: BTreeMap::new(),
            client_name: None,
            is_full: false,
            has_more: false,
            is_mute: false,
            is_swallowing: false,
            is_blocked: false,
            pause: None,
            heartbeat: 0,
            wake: Arc::default(),
        }
    }

    /// Returns what the task has to know; a pause is told once.
    pub(crate) fn status(&mut self) -> Status {
        let end = match self.phase {
            Phase::Ended => Some(End::Close),
            Phase::Cut => Some(End::Reset),
            _ => None,
        };
        let linger = match self.phase {
            Phase::Closing => match self.heartbeat {
                0 => Some(CLOSING),
                seconds => Some(CLOSING.min(Duration::from_secs(seconds.into()))),
            },
            Phase::Deaf => Some(DEAF),
            _ => None,
        };
        Status {
            reads: !self.is_mute && !self.is_blocked && !self.is_full,
            has_more: self.has_more,
            is_full: self.is_full,
            end,
            is_open: matches!(self.phase, Phase::Open(_)),
            linger,
            pause: self.pause.take(),
            heartbeat: self.heartbeat,
        }
    }

    /// Writes a heartbeat, unless something else waits to be written.
    pub(crate) fn beat(&mut self) {
        if self.outbox.is_empty() && !self.is_mute && !matches!(self.phase, Phase::Header) {
            self.outbox.raw(&HEARTBEAT_FRAME);
        }
    }
}
