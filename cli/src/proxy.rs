//! A TCP proxy that stands in front of the broker and breaks connections on demand.
//!
//! Of AMQP it knows where frames begin and end, no more: it forwards bytes, and cuts, holds, swallows, slows or refuses them when told
//! to.

mod frames;
mod pump;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A running proxy on a free port of 127.0.0.1.
///
/// Dropping it closes the port and every connection through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Accepts and forwards.
    Forward,
    /// Listens no more: new connections are refused by the kernel. Open ones stay.
    Refuse,
    /// Accepts, then closes at once without a byte. Open connections stay.
    AcceptThenClose,
}

/// A direction of the byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker.
    ToBroker,
    /// From the broker to the client.
    ToClient,
}

/// What becomes of the bytes of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They are forwarded.
    Free,
    /// They wait: nothing is lost, and nothing arrives until another flow is set.
    Held,
    /// They are lost. A connection that lost a byte loses all that follow, and does not end by itself when the broker closes it: what a
    /// router does that forgot the connection.
    Swallowed,
    /// As [`Swallowed`](Self::Swallowed), but heartbeats still pass, so that neither side thinks the other dead.
    OnlyHeartbeats,
    /// They trickle: so many a second on each connection, at least 20.
    Slow {
        /// How many bytes pass in a second.
        bytes_per_second: u32,
    },
}

/// What the handle tells the tasks, and what they count.
#[derive(Debug)]
struct Shared {
    orders: watch::Sender<Orders>,
    /// Set by [`Proxy::cut_after`], used up by the connection that carries the last of these bytes.
    budget: Mutex<Option<(Direction, u64)>>,
    accepted: AtomicU64,
    open: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Orders {
    mode: Mode,
    /// Grows by one for each [`Proxy::cut`]: a connection lives in the generation that it was accepted in.
    generation: u64,
    to_broker: Flow,
    to_client: Flow,
}

impl Proxy {
    /// Starts a proxy that forwards to `upstream` (`host:port`).
    ///
    /// # Errors
    ///
    /// Returns the error of binding a port on 127.0.0.1. Whether the upstream can be reached shows with the first connection.
    pub async fn start(upstream: impl Into<String>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::new());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let accept =
            accept(listener, upstream.into().into(), Arc::clone(&shared), tasks.clone(), stop.clone());
        tasks.spawn(accept);
        Ok(Self { address, shared, tasks, stop: stop.drop_guard() })
    }

    /// Returns the address that clients connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every open connection and returns how many there were. New ones are accepted as before.
    #[expect(clippy::must_use_candidate, reason = "called for its effect; the count is extra")]
    pub fn cut(&self) -> usize {
        let open = self.open();
        self.shared.orders.send_modify(|orders| orders.generation += 1);
        open
    }

    /// Cuts a connection, once, after exactly `bytes` more bytes went through in this direction, over all connections together.
    ///
    /// Replaces an earlier order that was not carried out yet.
    pub fn cut_after(&self, direction: Direction, bytes: u64) {
        *self.shared.budget() = Some((direction, bytes));
    }

    /// Holds the bytes of one direction back, on open and new connections, until [`release`](Self::release).
    ///
    /// With both directions held, a connection looks alive and is dead: what a lost network cable does.
    pub fn hold(&self, direction: Direction) {
        self.set_flow(direction, Flow::Held);
    }

    /// Lets the bytes of one direction flow again, beginning with those that were held.
    pub fn release(&self, direction: Direction) {
        self.set_flow(direction, Flow::Free);
    }

    /// Decides what becomes of the bytes of one direction, on open and new connections. The default is [`Flow::Free`].
    pub fn set_flow(&self, direction: Direction, flow: Flow) {
        self.shared.orders.send_modify(|orders| match direction {
            Direction::ToBroker => orders.to_broker = flow,
            Direction::ToClient => orders.to_client = flow,
        });
    }

    /// Decides about new connections. Open ones stay: [`cut`](Self::cut) ends them.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.orders.send_modify(|orders| orders.mode = mode);
    }

    /// Returns how many connections were accepted since the start, those of [`Mode::AcceptThenClose`] included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Returns how many connections are forwarded now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Closes the port and every connection, and waits until that is done.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has closed everything all the same; only the waiting ends early.
    pub async fn shutdown(self) {
        let Self { tasks, stop, .. } = self;
        tasks.close();
        drop(stop);
        tasks.wait().await;
    }
}

impl Shared {
    fn new() -> Self {
        let orders =
            Orders { mode: Mode::Forward, generation: 0, to_broker: Flow::Free, to_client: Flow::Free };
        Self {
            orders: watch::Sender::new(orders),
            budget: Mutex::new(None),
            accepted: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        }
    }

    fn budget(&self) -> std::sync::MutexGuard<'_, Option<(Direction, u64)>> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Orders {
    const fn flow(&self, direction: Direction) -> Flow {
        match direction {
            Direction::ToBroker => self.to_broker,
            Direction::ToClient => self.to_client,
        }
    }
}

/// Accepts connections until told to stop. In [`Mode::Refuse`] the listener is closed, and bound again afterwards.
async fn accept(
    listener: TcpListener,
    upstream: Arc<str>,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let Ok(address) = listener.local_addr() else { return };
    let mut orders = shared.orders.subscribe();
    let mut listener = Some(listener);
    loop {
        let mode = orders.borrow_and_update().mode;
        if mode == Mode::Refuse {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let incoming = tokio::select! {
            () = stop.cancelled() => return,
            _ = orders.changed() => continue,
            incoming = next(listener.as_ref()), if mode != Mode::Refuse => incoming,
        };
        let Some(client) = incoming else { continue };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        // Read again: the mode may have changed while this connection came in.
        if shared.orders.borrow().mode == Mode::Forward {
            let connection = pump::forward(client, Arc::clone(&upstream), Arc::clone(&shared));
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(connection).await });
        }
    }
}

/// Waits for a connection; without a listener, or after an error, for a moment, so that the caller tries again.
async fn next(listener: Option<&TcpListener>) -> Option<TcpStream> {
    if let Some(listener) = listener
        && let Ok((client, _)) = listener.accept().await
    {
        return Some(client);
    }
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    None
}

#[cfg(test)]
mod tests;
