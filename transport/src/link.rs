//! One supervised connection: it comes back by itself, and everyone can see what it is doing.

mod supervisor;

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use garenne_shared::Config;
use lapin::Connection;
use tokio::{
    sync::{broadcast, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::supervisor::Supervisor;
use crate::{
    ConnectionHealth, ConnectionState, Error, ErrorKind, Event, Role, dial::Dialed, fault::fault,
    runtime::IoRuntime,
};

/// One supervised connection of a role. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    role: Role,
    shared: Shared,
    started: AtomicBool,
    state: watch::Sender<LinkState>,
    // The connection of the present epoch. Locked for an assignment, never across an await.
    current: Mutex<Option<Arc<Connection>>>,
}

/// What the links of a client have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) runtime: Arc<IoRuntime>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) closed: CancellationToken,
}

/// A fresh channel and the connection it belongs to.
#[derive(Debug)]
pub(crate) struct OpenChannel {
    pub(crate) channel: lapin::Channel,
    pub(crate) epoch: u64,
    pub(crate) frame_max: u32,
}

/// What a link is doing.
#[derive(Debug, Clone)]
pub(crate) struct LinkState {
    pub(crate) phase: Phase,
    pub(crate) epoch: u64,
    pub(crate) blocked: Option<Blocked>,
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

/// The broker blocks publishers: an alarm is on.
#[derive(Debug, Clone)]
pub(crate) struct Blocked {
    pub(crate) since: Instant,
    pub(crate) reason: String,
}

// === impl Link ===

impl Link {
    /// Makes a link that connects when it is first needed.
    pub(crate) fn new(role: Role, shared: Shared) -> Self {
        let state = LinkState { phase: Phase::Idle, epoch: 0, blocked: None };
        Self(Arc::new(Inner {
            role,
            shared,
            started: AtomicBool::new(false),
            state: watch::Sender::new(state),
            current: Mutex::new(None),
        }))
    }

    /// Starts to supervise a connection that was opened already.
    pub(crate) fn adopt(&self, dialed: Dialed) {
        self.start(Some(dialed));
    }

    /// Opens a fresh channel, as soon as the connection is up; waits for that without limit.
    pub(crate) async fn open_channel(&self) -> Result<OpenChannel, Error> {
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
            let Some(connection) = self.current() else { continue };
            let limit = self.config().connection.rpc_timeout;
            match timeout(limit, connection.create_channel()).await {
                Ok(Ok(channel)) => {
                    let frame_max = connection.configuration().frame_max();
                    return Ok(OpenChannel { channel, epoch, frame_max });
                }
                Ok(Err(error)) if connection.status().connected() => {
                    return Err(fault(&error, "opening a channel"));
                }
                Ok(Err(_)) => self.wait_for_change(&mut state, epoch).await,
                Err(_) => {
                    return Err(Error::new(
                        ErrorKind::TimedOut,
                        format!(
                            "a channel must open within `connection.rpc_timeout`, {limit:?}, but did not"
                        ),
                    ));
                }
            }
        }
    }

    /// Watches what the link is doing.
    pub(crate) fn state(&self) -> watch::Receiver<LinkState> {
        self.0.state.subscribe()
    }

    /// Returns `true` while the broker blocks publishers.
    pub(crate) fn is_blocked(&self) -> bool {
        self.0.state.borrow().blocked.is_some()
    }

    /// Returns where events go.
    pub(crate) fn events(&self) -> &broadcast::Sender<Event> {
        &self.0.shared.events
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

    /// Returns the token that closing the client cancels.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.0.shared.closed
    }

    /// Returns what the link is really doing.
    pub(crate) fn health(&self) -> ConnectionHealth {
        let state = self.0.state.borrow();
        let connected = self.current().is_some_and(|connection| connection.status().connected());
        ConnectionHealth {
            state: match state.phase {
                Phase::Idle => ConnectionState::Idle,
                Phase::Connected if connected => ConnectionState::Connected,
                Phase::Connected | Phase::Connecting => ConnectionState::Connecting,
                Phase::Closed => ConnectionState::Closed,
            },
            epoch: state.epoch,
            blocked_for: state.blocked.as_ref().map(|blocked| blocked.since.elapsed()),
        }
    }

    fn start(&self, dialed: Option<Dialed>) {
        if !self.0.started.swap(true, Ordering::AcqRel) {
            self.0.state.send_modify(|state| state.phase = Phase::Connecting);
            // The supervisor holds the link weakly through nothing: it ends when the closed token is cancelled, which
            // the last handle of the client does at the latest.
            self.spawn(Supervisor::new(self.clone()).run(dialed));
        }
    }

    fn current(&self) -> Option<Arc<Connection>> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_current(&self, connection: Option<Arc<Connection>>) {
        *self.0.current.lock().unwrap_or_else(PoisonError::into_inner) = connection;
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
