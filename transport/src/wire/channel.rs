//! One AMQP channel: opening, requests, closing.
//!
//! A channel ends in exactly one way ([`End`]), and every request on it gets its own answer or that end: nothing is ever attributed
//! to another channel or to an earlier life of its id. A request that is given up takes the channel with it: `channel.close` is
//! sent behind it, and the id is free again only when the broker has answered that.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use amq_protocol::protocol::{AMQPClass, channel};
use tokio::sync::oneshot;

use super::{
    Wire, frame,
    outbox::{Life, NotOpen, Stage},
    sink::{End, Sink},
};
use crate::{Error, ErrorKind, fault};

/// An open channel. The last clone closes it.
#[derive(Debug, Clone)]
pub(crate) struct Channel(Arc<Handle>);

/// Sends frames of a channel without keeping it open.
#[derive(Clone)]
pub(crate) struct Sender {
    wire: Arc<Wire>,
    state: Arc<State>,
}

#[derive(Debug)]
struct Handle {
    sender: Sender,
    /// One request at a time: AMQP answers in order.
    turn: tokio::sync::Mutex<()>,
}

/// What the pump and the handles share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) id: u16,
    pub(super) life: Life,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Who waits for an answer.
    waiting: Option<oneshot::Sender<Result<AMQPClass, End>>>,
    /// Who waits for the answer to `channel.close`.
    closing: Option<oneshot::Sender<()>>,
    sink: Option<Arc<dyn Sink>>,
    end: Option<End>,
    /// When we sent `channel.close`.
    closed_at: Option<Instant>,
}

// === impl State ===

impl State {
    pub(super) fn new(id: u16, sink: Option<Arc<dyn Sink>>) -> Self {
        let inner = Inner { waiting: None, closing: None, sink, end: None, closed_at: None };
        Self { id, life: Life::default(), inner: Mutex::new(inner) }
    }

    /// Returns where unasked frames go.
    pub(super) fn sink(&self) -> Option<Arc<dyn Sink>> {
        self.lock().sink.clone()
    }

    /// Gives an answer to the request that waits for it. An answer without a request is dropped.
    pub(super) fn answer(&self, method: AMQPClass) {
        if let Some(waiting) = self.lock().waiting.take() {
            let _ = waiting.send(Ok(method));
        }
    }

    /// Ends the channel, once. A request that waits gets the end.
    pub(super) fn end(&self, end: &End) {
        let mut inner = self.lock();
        let sink = inner.sink.take();
        let end = inner.end.get_or_insert_with(|| end.clone()).clone();
        if let Some(waiting) = inner.waiting.take() {
            let _ = waiting.send(Err(end.clone()));
        }
        if let Some(closing) = inner.closing.take() {
            let _ = closing.send(());
        }
        drop(inner);
        // Outside the lock: the sink may ask about the channel.
        if let Some(sink) = sink {
            sink.ended(&end);
        }
    }

    /// Returns how long `channel.close` has had no answer.
    pub(super) fn closing_for(&self) -> Option<Duration> {
        self.lock().closed_at.map(|at| at.elapsed())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Channel ===

impl Channel {
    /// Opens a channel. `sink` gets what comes unasked.
    pub(super) async fn open(
        wire: &Arc<Wire>,
        sink: Option<Arc<dyn Sink>>,
        limit: Duration,
    ) -> Result<Self, Error> {
        let state = wire.admit(sink)?;
        let sender = Sender { wire: Arc::clone(wire), state };
        let channel = Self(Arc::new(Handle { sender, turn: tokio::sync::Mutex::new(()) }));
        let waiting = channel.0.sender.state.begin_request();
        let Sender { wire, state } = &channel.0.sender;
        let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
        let sent = wire.outbox.change(&state.life, &[Stage::Opening], Stage::Opening, |out| {
            frame::write_method(out, state.id, open);
        });
        if sent.is_ok() {
            // A dropped future drops the handle, which closes what may be open by then.
            let answer = channel.answer(waiting, limit, "opening a channel").await?;
            if !matches!(answer, AMQPClass::Channel(channel::AMQPMethod::OpenOk(_))) {
                return Err(fault::unexpected(&answer, "opening a channel"));
            }
            let opened = wire.outbox.change(&state.life, &[Stage::Opening], Stage::Open, |_| {});
            if opened.is_ok() {
                return Ok(channel);
            }
        }
        Err(channel.0.sender.error("opening a channel"))
    }

    /// Returns what sends frames without keeping the channel open.
    pub(crate) fn sender(&self) -> Sender {
        self.0.sender.clone()
    }

    /// Returns how the channel ended, if it has.
    pub(crate) fn end(&self) -> Option<End> {
        self.0.sender.state.lock().end.clone()
    }

    /// Returns whether the channel takes frames.
    pub(crate) fn is_open(&self) -> bool {
        self.0.sender.is_open()
    }

    /// Sends a request and waits for its answer.
    ///
    /// A request that has no answer within the limit, and one whose future is dropped, ends the channel.
    pub(crate) async fn call(
        &self,
        method: AMQPClass,
        limit: Duration,
        what: &str,
    ) -> Result<AMQPClass, Error> {
        let _turn = self.0.turn.lock().await;
        let waiting = self.0.sender.state.begin_request();
        let sent = self.0.sender.send(|out, id| frame::write_method(out, id, method));
        if sent.is_err() {
            return Err(self.0.sender.error(what));
        }
        self.answer(waiting, limit, what).await
    }

    async fn answer(
        &self,
        waiting: oneshot::Receiver<Result<AMQPClass, End>>,
        limit: Duration,
        what: &str,
    ) -> Result<AMQPClass, Error> {
        let sender = &self.0.sender;
        let mut given_up = GiveUp { sender, armed: true };
        let answered = tokio::select! {
            biased;
            answered = waiting => answered,
            () = sender.wire.patience(limit) => {
                drop(given_up);
                return Err(Error::new(
                    ErrorKind::TimedOut,
                    format!("the broker must answer within `connection.rpc_timeout`, {limit:?}, but did not while {what}"),
                ));
            }
        };
        given_up.armed = false;
        match answered {
            Ok(Ok(method)) => Ok(method),
            Ok(Err(end)) => Err(fault::ended(&end, what)),
            // Replaced by a later request: cannot be, since each waits for its turn.
            Err(_) => Err(sender.error(what)),
        }
    }

    /// Closes the channel and waits until the broker has answered, at most for the limit.
    ///
    /// When it returns, the broker has handled everything that was sent on the channel before.
    pub(crate) async fn close(&self, limit: Duration) {
        let sender = &self.0.sender;
        let (answered, closed) = oneshot::channel();
        {
            let mut inner = sender.state.lock();
            if inner.end.is_some() {
                return;
            }
            inner.closing = Some(answered);
        }
        if sender.close().is_err() && sender.wire.outbox.stage(&sender.state.life) != Stage::Closing {
            return;
        }
        tokio::select! {
            _ = closed => {}
            () = sender.wire.patience(limit) => {
                sender.wire.suspect("no answer came while closing a channel".to_owned());
            }
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // It fails if the channel has ended by itself.
        let _ = self.sender.close();
    }
}

/// Ends a channel whose request was given up.
struct GiveUp<'a> {
    sender: &'a Sender,
    armed: bool,
}

impl Drop for GiveUp<'_> {
    fn drop(&mut self) {
        if self.armed && self.sender.close().is_ok() {
            self.sender.wire.suspect("a request was given up".to_owned());
        }
    }
}

// === impl Sender ===

impl Sender {
    /// Appends frames of the channel; returns the position behind them.
    pub(crate) fn send(&self, write: impl FnOnce(&mut Vec<u8>, u16)) -> Result<u64, NotOpen> {
        let id = self.state.id;
        self.wire.outbox.append(&self.state.life, |out| write(out, id))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.wire.outbox.stage(&self.state.life) == Stage::Open
    }

    /// Returns the connection.
    pub(crate) const fn wire(&self) -> &Arc<Wire> {
        &self.wire
    }

    /// Sends `channel.close`, whatever was asked before: the broker handles both in order, so nothing that was asked stays.
    fn close(&self) -> Result<(), NotOpen> {
        let close = AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
            reply_code: 200,
            reply_text: "closed by the client".into(),
            class_id: 0,
            method_id: 0,
        }));
        let Self { wire, state } = self;
        wire.outbox.change(&state.life, &[Stage::Opening, Stage::Open], Stage::Closing, |out| {
            frame::write_method(out, state.id, close);
        })?;
        state.lock().closed_at = Some(Instant::now());
        Ok(())
    }

    /// Says why the channel takes no more frames.
    fn error(&self, what: &str) -> Error {
        let end = self.state.lock().end.clone();
        fault::ended(&end.unwrap_or(End::Closed), what)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("channel", &self.state.id).finish_non_exhaustive()
    }
}

impl State {
    fn begin_request(&self) -> oneshot::Receiver<Result<AMQPClass, End>> {
        let (waiting, answer) = oneshot::channel();
        let mut inner = self.lock();
        match inner.end.clone() {
            Some(end) => {
                let _ = waiting.send(Err(end));
            }
            None => inner.waiting = Some(waiting),
        }
        answer
    }
}
