//! The frames of a connection: lapin has channel 0, everything else is done here.
//!
//! lapin opens a connection, authenticates, keeps it alive and closes it. What a peer sends must never stop anybody, what the broker
//! refuses must never outlive its channel, and a verdict must rest on what the broker really said; lapin's channels give none of
//! that. So a task of our own, the [`pump`], stands between lapin and the socket and sees every frame in both directions:
//!
//! - frames of channel 0 pass to and from lapin through a [`pipe`] in memory, made readable where a strict reader would stumble;
//! - [`Channel`]s are ours: opened and closed here, their requests answered here, their ids free again once the broker said so;
//! - confirms, returns and deliveries go as bytes to the [`Sink`] of their channel, in the order of the frames.

mod assembly;
mod channel;
mod dispatch;
pub(crate) mod fields;
pub(crate) mod frame;
mod kit;
mod last;
pub(crate) mod method;
mod outbox;
mod ping;
mod pipe;
mod pump;
mod sink;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU16, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use amq_protocol::types::FieldTable;
use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::{
    channel::State,
    kit::Kit,
    last::Last,
    outbox::{Outbox, Stage},
    pipe::Pipe,
    pump::Pump,
};
pub(crate) use self::{
    channel::{Channel, Sender},
    kit::{silence_this_thread, silent},
    outbox::NotOpen,
    ping::Pinger,
    sink::{Confirm, Content, Delivered, End, Lost, Refusal, Sink},
};
use crate::{Clock, Error, ErrorKind, runtime::IoRuntime};

/// What lapin gets to know as the largest frame: the smallest that RabbitMQ takes. Each of its two buffers holds 32 of them.
pub(crate) const LAPIN_FRAME_MAX: u32 = 8192;

/// One connection, as far as its frames go.
pub(crate) struct Wire {
    clock: Clock,
    outbox: Outbox,
    channels: Mutex<Channels>,
    /// What we would like as the largest frame; what was agreed on once the handshake is done.
    frame_max: AtomicU32,
    channel_max: AtomicU16,
    /// What the broker said of itself.
    server: OnceLock<FieldTable>,
    blocked: watch::Sender<Option<Blocked>>,
    ended: watch::Sender<Option<Lost>>,
    kill: CancellationToken,
    /// Why the connection is to end, or why the broker ended it; the first counts.
    reason: OnceLock<String>,
    suspicions: mpsc::Sender<String>,
    /// When the peer last showed that it lives, apart from heartbeats.
    progress: Last,
    /// When a channel last got a content.
    delivered: Last,
    /// When a publish was last confirmed.
    confirmed: Last,
    /// When the broker last lifted a block.
    unblocked: Last,
    /// When something last waited to be written.
    congested: Last,
}

#[derive(Debug, Default)]
struct Channels {
    open: FxHashMap<u16, Arc<State>>,
    last: u16,
    /// Set when the connection has ended: no channel is admitted any more.
    lost: Option<Lost>,
}

/// The broker blocks publishers: an alarm is on.
#[derive(Debug, Clone)]
pub(crate) struct Blocked {
    pub(crate) since: Instant,
    pub(crate) reason: String,
}

/// What is made for one connection.
pub(crate) struct Parts {
    pub(crate) wire: Arc<Wire>,
    /// What lapin reads and writes.
    pub(crate) stream: lapin::tcp::AsyncTcpStream<Pipe>,
    /// What lapin runs on.
    pub(crate) runtime: async_rs::Runtime<Kit>,
    /// Why somebody doubts that the peer lives.
    pub(crate) suspicions: mpsc::Receiver<String>,
    /// To be spawned: ends with the connection.
    pub(crate) pump: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Puts the pump between a socket and lapin.
pub(crate) fn connect<S>(socket: S, frame_max: u32, runtime: &Arc<IoRuntime>) -> Parts
where
    S: futures_util::io::AsyncRead + futures_util::io::AsyncWrite + Send + Unpin + 'static,
{
    let (suspicions_tx, suspicions) = mpsc::channel(1);
    let wire = Arc::new(Wire {
        clock: Clock::new(Arc::clone(runtime)),
        outbox: Outbox::default(),
        channels: Mutex::default(),
        frame_max: AtomicU32::new(frame_max),
        channel_max: AtomicU16::new(u16::MAX),
        server: OnceLock::new(),
        blocked: watch::Sender::new(None),
        ended: watch::Sender::new(None),
        kill: CancellationToken::new(),
        reason: OnceLock::new(),
        suspicions: suspicions_tx,
        progress: Last::now(),
        delivered: Last::now(),
        confirmed: Last::now(),
        unblocked: Last::now(),
        congested: Last::now(),
    });
    let (pipe, end) = pipe::pipe();
    let pump = Pump::new(socket, Arc::clone(&wire), end);
    Parts {
        wire,
        stream: lapin::tcp::AsyncTcpStream::Plain(pipe),
        runtime: async_rs::Runtime::new(Kit::new(runtime.handle().clone())),
        suspicions,
        pump: Box::pin(pump.run()),
    }
}

// === impl Wire ===

impl Wire {
    /// Opens a channel. `sink` gets what comes unasked.
    pub(crate) async fn open(
        self: &Arc<Self>,
        sink: Option<Arc<dyn Sink>>,
        limit: Duration,
    ) -> Result<Channel, Error> {
        Channel::open(self, sink, limit).await
    }

    /// Returns what the broker said of itself, once the handshake has begun.
    pub(crate) fn server(&self) -> Option<&FieldTable> {
        self.server.get()
    }

    /// Returns the largest frame that may be sent, in bytes.
    pub(crate) fn frame_max(&self) -> usize {
        match self.frame_max.load(Relaxed) {
            // 0 means no limit (AMQP 0-9-1 section 4.2.3, `connection.tune`).
            0 => usize::MAX,
            frame_max => frame_max as usize,
        }
    }

    /// Watches whether the broker blocks publishers.
    pub(crate) fn blocked(&self) -> watch::Receiver<Option<Blocked>> {
        self.blocked.subscribe()
    }

    /// Waits until the connection has ended; says how.
    pub(crate) async fn ended(&self) -> Lost {
        let mut ended = self.ended.subscribe();
        let lost = ended.wait_for(Option::is_some).await.ok().and_then(|lost| lost.clone());
        lost.unwrap_or_else(|| Lost {
            reason: "the connection was dropped".into(),
            written: 0,
            refusal: None,
        })
    }

    /// Returns why the connection has ended or is about to, if that is known.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Ends the connection whatever state lapin or the peer is in.
    pub(crate) fn kill(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
        self.kill.cancel();
    }

    /// Says that the peer may be dead. Whoever watches the connection finds out.
    pub(crate) fn suspect(&self, why: String) {
        // One suspicion is enough.
        let _ = self.suspicions.try_send(why);
    }

    /// Returns how long the peer has shown no sign of life apart from heartbeats.
    pub(crate) fn silent_for(&self) -> Duration {
        self.progress.elapsed()
    }

    /// Returns how long no channel has got a message.
    pub(crate) fn undelivered_for(&self) -> Duration {
        self.delivered.elapsed()
    }

    /// Returns the time that deadlines go by.
    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Returns how long no publish has been confirmed.
    pub(crate) fn unconfirmed_for(&self) -> Duration {
        self.confirmed.elapsed()
    }

    /// Returns how long the oldest `channel.close` has had no answer, not counting the time in which the broker reads nothing.
    pub(crate) fn closing_for(&self) -> Duration {
        if self.blocked.borrow().is_some() {
            return Duration::ZERO;
        }
        let longest =
            self.lock().open.values().filter_map(|state| state.closing_for()).max().unwrap_or_default();
        longest.min(self.unblocked.elapsed()).min(self.congested.elapsed())
    }

    /// Waits for so long, not counting the time that the broker blocks this connection and therefore does not read.
    pub(crate) async fn patience(&self, limit: Duration) {
        let mut blocked = self.blocked();
        loop {
            if blocked.borrow_and_update().is_none() {
                tokio::select! {
                    () = self.clock.sleep(limit) => return,
                    changed = blocked.changed() => if changed.is_err() { return },
                }
            } else if blocked.changed().await.is_err() {
                return;
            }
        }
    }

    /// Finds a free id for a channel.
    fn admit(&self, sink: Option<Arc<dyn Sink>>) -> Result<Arc<State>, Error> {
        let max = match self.channel_max.load(Relaxed) {
            0 => u16::MAX,
            max => max,
        };
        let mut channels = self.lock();
        if let Some(lost) = &channels.lost {
            return Err(crate::fault::ended(&End::Lost(lost.clone()), "opening a channel"));
        }
        if channels.open.len() >= usize::from(max) {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!(
                    "a connection has at most {max} channels, and all of them are in use; use another client for a part of the \
                     subscriptions or of the exchanges that are published to, or raise `channel_max` of the broker"
                ),
            ));
        }
        let mut id = channels.last;
        loop {
            id = if id >= max { 1 } else { id + 1 };
            if !channels.open.contains_key(&id) {
                break;
            }
        }
        channels.last = id;
        let state = Arc::new(State::new(id, sink));
        channels.open.insert(id, Arc::clone(&state));
        Ok(state)
    }

    fn channel(&self, id: u16) -> Option<Arc<State>> {
        self.lock().open.get(&id).cloned()
    }

    /// Makes the id of a channel free again.
    fn release(&self, id: u16) -> Option<Arc<State>> {
        self.lock().open.remove(&id)
    }

    /// Ends every channel with the connection.
    fn lose_channels(&self, lost: Lost) {
        let mut channels = self.lock();
        channels.lost.get_or_insert_with(|| lost.clone());
        let open = std::mem::take(&mut channels.open);
        drop(channels);
        let end = End::Lost(lost);
        for state in open.into_values() {
            let stages = [Stage::Opening, Stage::Open, Stage::Closing];
            let _ = self.outbox.change(&state.life, &stages, Stage::Ended, |_| {});
            state.end(&end);
        }
    }

    /// Ends the connection and everything on it.
    fn lose(&self, lost: Lost) {
        self.lose_channels(lost.clone());
        self.outbox.end();
        self.ended.send_replace(Some(lost));
    }

    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("channels", &self.lock().open.len()).finish_non_exhaustive()
    }
}
