//! The core itself: everything that the broker holds.

use std::collections::{BTreeSet, HashMap, VecDeque};

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::AMQPMethod as Basic;

use super::access::{Caller, User};
use super::channel::Channel;
use super::connection::Connection;
use super::effect::{Opening, Output};
use super::fault_plan::FaultPlan;
use super::history::History;
use super::queue::Discard;
use super::timers::Timers;
use super::vhost::Vhost;
use super::{AmqpError, ChannelId, ConnectionId, Millis, Name};

/// A queue anywhere in the broker: vhost and name.
pub(crate) type QueueRef = (Name, Name);

/// What a new broker holds.
#[derive(Debug)]
pub(crate) struct CoreSettings {
    pub(crate) users: Vec<User>,
    pub(crate) vhosts: Vec<Name>,
    /// How many of the latest messages the books keep.
    pub(crate) history: usize,
    /// Seconds since 1970 at the time 0 of the broker's clock.
    pub(crate) started: u64,
}

/// All vhosts, users and connections. Every method takes the time, and leaves what is to be written in the effects.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) users: HashMap<Name, User>,
    pub(crate) vhosts: HashMap<Name, Vhost>,
    pub(crate) connections: HashMap<ConnectionId, Connection>,
    pub(crate) history: History,
    /// The channels that consume direct replies, by the name that requests carry.
    pub(super) reply_queues: HashMap<Name, (ConnectionId, ChannelId)>,
    pub(super) effects: Vec<(ConnectionId, Output)>,
    /// How many bytes of deliveries the effects hold.
    pub(super) burst: u64,
    /// Queues whose consumers or timers may have something to do.
    pub(super) dirty: Vec<QueueRef>,
    pub(super) timers: Timers,
    /// Grows with every change of topology or permissions.
    pub(super) age: u64,
    pub(super) started: u64,
    /// Connections with confirms that wait for the end of the batch.
    pub(super) unflushed: BTreeSet<(ConnectionId, ChannelId)>,
    /// Copies that were put into queues.
    pub(super) enqueued: u64,
    last_connection: ConnectionId,
    last_name: u64,
    /// Copies that left their queue and are still to be dead-lettered.
    pub(super) discards: VecDeque<(QueueRef, Discard)>,
    /// What a test has asked for.
    pub(crate) faults: FaultPlan,
    /// Faults of the publish that is being handled.
    pub(super) refuse_next: bool,
    pub(super) withhold_next: bool,
    /// Spares an allocation for each publish.
    pub(super) routed: Vec<Name>,
}

impl Core {
    pub(crate) fn new(settings: CoreSettings) -> Self {
        let users = settings.users.into_iter().map(|user| (user.name.clone(), user));
        let vhosts = settings.vhosts.into_iter().map(|name| (name.clone(), Vhost::new(&name)));
        Self {
            users: users.collect(),
            vhosts: vhosts.collect(),
            connections: HashMap::new(),
            history: History::new(settings.history),
            reply_queues: HashMap::new(),
            effects: Vec::new(),
            burst: 0,
            dirty: Vec::new(),
            timers: Timers::default(),
            age: 0,
            started: settings.started,
            unflushed: BTreeSet::new(),
            enqueued: 0,
            last_connection: 0,
            last_name: 0,
            discards: VecDeque::new(),
            faults: FaultPlan::default(),
            refuse_next: false,
            withhold_next: false,
            routed: Vec::new(),
        }
    }

    /// Returns the user whose password this is.
    pub(crate) fn authenticate(&self, user: &str, password: &[u8]) -> Option<Name> {
        let user = self.users.get(user)?;
        (user.password.as_bytes() == password).then(|| user.name.clone())
    }

    /// Opens a connection to a vhost: `rabbit_reader.erl`, `connection.open`.
    pub(crate) fn connect(&mut self, opening: Opening) -> Result<ConnectionId, AmqpError> {
        let Some(found) = self.vhosts.get(&opening.vhost) else {
            return Err(AmqpError::not_allowed(format!("vhost {} not found", opening.vhost)));
        };
        if !self.users.get(&opening.user).is_some_and(|user| user.permissions.contains_key(&opening.vhost)) {
            return Err(AmqpError::not_allowed(format!(
                "access to vhost '{}' refused for user '{}'",
                opening.vhost, opening.user
            )));
        }
        let vhost = found.name.clone();
        self.last_connection += 1;
        let connected_at = self.started * 1000 + opening.at.0;
        self.connections
            .insert(self.last_connection, Connection::new(Opening { vhost, ..opening }, connected_at));
        Ok(self.last_connection)
    }

    /// Opens a channel; the shell has checked that it is not open.
    pub(crate) fn open_channel(&mut self, connection: ConnectionId, channel: ChannelId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.channels.insert(channel, Channel::default());
        }
    }

    /// Moves what is to be written since the last call behind what is in `into`, and goes on with what it put off until then.
    pub(crate) fn drain_effects(&mut self, now: Millis, into: &mut VecDeque<(ConnectionId, Output)>) {
        into.extend(self.effects.drain(..));
        self.burst = 0;
        if into.is_empty() && !self.dirty.is_empty() {
            self.settle(now);
            into.extend(self.effects.drain(..));
        }
    }

    /// Returns an open channel.
    pub(super) fn channel(
        &mut self,
        connection: ConnectionId,
        channel: ChannelId,
    ) -> Result<&mut Channel, AmqpError> {
        self.connections
            .get_mut(&connection)
            .and_then(|connection| connection.channels.get_mut(&channel))
            .ok_or_else(|| AmqpError::channel_error("expected 'channel.open'"))
    }

    /// Returns the vhost of a connection and who calls it.
    pub(super) fn vhost_of(
        &mut self,
        connection: ConnectionId,
    ) -> Result<(&mut Vhost, Caller<'_>), AmqpError> {
        let Self { connections, vhosts, users, .. } = self;
        let found = connections.get(&connection).and_then(|open| {
            let vhost = vhosts.get_mut(&open.vhost)?;
            Some((vhost, Caller { user: users.get(&open.user)?, connection }))
        });
        found.ok_or_else(|| AmqpError::connection_forced("the connection's user or vhost was deleted"))
    }

    /// Sends a method.
    pub(super) fn send(&mut self, connection: ConnectionId, channel: ChannelId, method: AMQPClass) {
        self.effects.push((connection, Output::Method(channel, method)));
    }

    /// Sends a method of the class `basic`.
    pub(super) fn send_basic(&mut self, connection: ConnectionId, channel: ChannelId, method: Basic) {
        self.send(connection, channel, AMQPClass::Basic(method));
    }

    /// Makes a name that nobody else has, such as `amq.ctag-..`.
    pub(super) fn unique_name(&mut self, prefix: &str) -> Name {
        self.last_name += 1;
        format!("{prefix}{:016x}{:06x}", fastrand::u64(..), self.last_name).into()
    }

    /// Returns how many copies of messages have been put into queues.
    pub(crate) fn copies(&self) -> u64 {
        self.enqueued
    }

    /// Returns the time of day in seconds since 1970.
    pub(super) fn seconds(&self, now: Millis) -> u64 {
        self.started + now.0 / 1000
    }
}
