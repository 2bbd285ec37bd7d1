//! One supervised connection: it comes back by itself, and everyone can see what it is doing.

mod supervisor;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use garenne_shared::Config;
use garenne_topology::Topology;
use tokio::{
    sync::{Notify, broadcast, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use self::supervisor::Supervisor;
use crate::{
    Capabilities, Clock, ConnectionHealth, ConnectionState, Error, ErrorKind, Event, Role,
    dial::Dialed,
    problem::{Problem, Problems},
    runtime::IoRuntime,
    wire::{Blocked, Channel, Sink, Wire},
};

/// The wait between attempts when the reconnect policy has no more to give.
const LAST_DELAY: Duration = Duration::from_secs(2);

/// One supervised connection of a role. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    role: Role,
    shared: Shared,
    started: AtomicBool,
    state: watch::Sender<LinkState>,
    blocked: watch::Sender<Option<Blocked>>,
    // The connection of the present epoch. Locked for an assignment, never across an await.
    current: Mutex<Option<Arc<Wire>>>,
}

/// What the links of a client have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) runtime: Arc<IoRuntime>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) closed: CancellationToken,
    /// Told when a connection came up: a wait before another attempt ends.
    pub(crate) up: Arc<Notify>,
    /// Told when a connection was lost: the other one may be dead as well.
    pub(crate) down: Arc<Notify>,
    pub(crate) problems: Problems,
    /// What is worth knowing.
    pub(crate) notices: Problems,
    /// Of the broker that was connected to last. Held for a look-up and never across an await.
    pub(crate) capabilities: Arc<Mutex<Arc<Capabilities>>>,
    /// What is declared again whenever the consuming connection is up again.
    pub(crate) owned: Arc<Mutex<Vec<Topology>>>,
}

/// A fresh channel and the connection it belongs to.
#[derive(Debug)]
pub(crate) struct OpenChannel {
    pub(crate) channel: Channel,
    pub(crate) epoch: u64,
}

/// What a link is doing.
#[derive(Debug, Clone)]
pub(crate) struct LinkState {
    pub(crate) phase: Phase,
    pub(crate) epoch: u64,
}

/// The phase of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has needed it.
    Idle,
    /// It is being opened.
    Connecting,
    /// It is up.
    Connected,
    /// The client was closed.
    Closed,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn capabilities(&self) -> Arc<Capabilities> {
        Arc::clone(&self.capabilities.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_capabilities(&self, capabilities: Capabilities) {
        *self.capabilities.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(capabilities);
    }
}

// === impl Link ===

impl Link {
    /// Makes a link that connects when it is first needed.
    pub(crate) fn new(role: Role, shared: Shared) -> Self {
        let state = LinkState { phase: Phase::Idle, epoch: 0 };
        Self(Arc::new(Inner {
            role,
            shared,
            started: AtomicBool::new(false),
            state: watch::Sender::new(state),
            blocked: watch::Sender::new(None),
            current: Mutex::new(None),
        }))
    }

    /// Starts to supervise a connection that was opened already.
    pub(crate) fn adopt(&self, dialed: Dialed) {
        self.start(Some(dialed));
    }

    /// Opens a fresh channel, as soon as the connection is up; waits for that without limit. `sink` gets what comes unasked on it.
    ///
    /// An error is about the channel or the connection, never about an object of the broker.
    pub(crate) async fn open_channel(&self, sink: Option<Arc<dyn Sink>>) -> Result<OpenChannel, Error> {
        self.start(None);
        let mut state = self.state();
        loop {
            let epoch = {
                let reached =
                    state.wait_for(|state| matches!(state.phase, Phase::Connected | Phase::Closed)).await;
                match reached {
                    Ok(state) if state.phase == Phase::Connected => state.epoch,
                    _ => return Err(closed()),
                }
            };
            let Some(wire) = self.current() else { continue };
            match wire.open(sink.clone(), self.config().connection.rpc_timeout).await {
                Ok(channel) => return Ok(OpenChannel { channel, epoch }),
                // A sink knows one channel only.
                Err(error) if error.kind() == ErrorKind::ConnectionLost && sink.is_none() => {
                    self.wait_for_change(&mut state, epoch).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Gives up the present connection if no publish on it was confirmed for so long: another node is tried first.
    pub(crate) fn doubt_confirms(&self, limit: Duration) {
        if let Some(wire) = self.current()
            && !self.is_blocked()
            && wire.unconfirmed_for() >= limit
        {
            wire.kill("the node confirms nothing");
        }
    }

    /// Declares a topology again whenever the connection is up again.
    pub(crate) fn own(&self, topology: Topology) {
        self.0.shared.owned.lock().unwrap_or_else(PoisonError::into_inner).push(topology);
    }

    /// Watches what the link is doing.
    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.0.state.subscribe()
    }

    /// Watches whether the broker blocks publishers.
    pub(crate) fn blocked(&self) -> watch::Receiver<Option<Blocked>> {
        self.0.blocked.subscribe()
    }

    /// Returns `true` while the broker blocks publishers.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.blocked.borrow().is_some()
    }

    /// Returns `true` while the broker blocks publishers, and has done so for less than the limit.
    pub(crate) fn is_blocked_for_less_than(&self, limit: Duration) -> bool {
        self.0.blocked.borrow().as_ref().is_some_and(|blocked| blocked.since.elapsed() < limit)
    }

    /// Waits until the broker has not blocked publishers for so long in one piece.
    pub(crate) async fn unblocked_for(&self, limit: Duration) {
        let (clock, mut blocked) = (self.clock(), self.blocked());
        loop {
            // It fails only with the link itself, which the caller holds.
            let _ = blocked.wait_for(Option::is_none).await;
            tokio::select! {
                () = clock.sleep(limit) => return,
                _ = blocked.wait_for(Option::is_some) => {}
            }
        }
    }

    /// Gives up the connection of an epoch, because its node does not reach what it should: another node is tried first.
    ///
    /// Does nothing if that connection still delivers to somebody, within `limit`.
    pub(crate) fn doubt(&self, epoch: u64, limit: Duration, reason: &str) {
        if self.0.state.borrow().epoch != epoch {
            return;
        }
        if let Some(wire) = self.current()
            && wire.undelivered_for() >= limit
        {
            wire.kill(reason);
        }
    }

    /// Shows a problem in the health until it is dropped.
    pub(crate) fn problem(&self, text: String) -> Problem {
        self.0.shared.problems.begin(text)
    }

    /// Returns where events go.
    pub(crate) fn events(&self) -> &broadcast::Sender<Event> {
        &self.0.shared.events
    }

    /// Returns the time that deadlines go by.
    pub(crate) fn clock(&self) -> Clock {
        Clock::new(Arc::clone(&self.0.shared.runtime))
    }

    /// Spawns a task on the runtime that lapin runs on; `Client::close` joins it.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.shared.runtime.spawn(task)
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.0.shared.config
    }

    /// Returns how long to wait after so many failures in a row. The policy's limit of attempts is for operations; connections and
    /// subscriptions are wanted for the life of the client.
    pub(crate) fn delay(&self, failed: u32) -> Duration {
        self.config().connection.reconnect.delay(failed).unwrap_or(LAST_DELAY)
    }

    /// Returns the token that closing the client cancels.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.0.shared.closed
    }

    /// Returns what the link is really doing.
    pub(crate) fn health(&self) -> ConnectionHealth {
        let state = self.0.state.borrow();
        ConnectionHealth {
            state: match state.phase {
                Phase::Idle => ConnectionState::Idle,
                Phase::Connected => ConnectionState::Connected,
                Phase::Connecting => ConnectionState::Connecting,
                Phase::Closed => ConnectionState::Closed,
            },
            epoch: state.epoch,
            blocked_for: self.0.blocked.borrow().as_ref().map(|blocked| blocked.since.elapsed()),
        }
    }

    fn start(&self, dialed: Option<Dialed>) {
        if !self.0.started.swap(true, Ordering::AcqRel) {
            self.0.state.send_modify(|state| state.phase = Phase::Connecting);
            // The task holds a strong `Link`; it ends when `closed` is cancelled.
            self.spawn(Supervisor::new(self.clone()).run(dialed));
        }
    }

    pub(crate) fn current(&self) -> Option<Arc<Wire>> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_current(&self, wire: Option<Arc<Wire>>) {
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = wire;
    }

    /// Waits until the supervisor has seen that a connection died.
    async fn wait_for_change(&self, state: &mut watch::Receiver<LinkState>, epoch: u64) {
        // It fails only with the link itself.
        let _ = state.wait_for(|state| state.epoch != epoch || state.phase != Phase::Connected).await;
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client was closed; connect a new one")
}
