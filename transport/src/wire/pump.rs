//! The task that owns the socket: reads frames and gives each to whom it belongs, writes what waits.

mod batch;
mod connection;

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use futures_util::io::{AsyncRead, AsyncWrite};

use self::batch::Batch;
use super::{
    Wire,
    assembly::{self, Assembly, Head, Step},
    dispatch::malformed,
    frame::{self, BODY, Frame, HEADER, HEARTBEAT, HEARTBEAT_FRAME, METHOD, Next},
    method::{self, Gathered},
    pipe::PumpEnd,
    sink::Lost,
};
use crate::dial::hint;

/// How much is read at once.
const READ: usize = 64 << 10;
/// How much is handed to the socket at once.
const WRITE: usize = 64 << 10;
/// A read buffer that grew beyond this for a large frame is not kept: 1 MiB.
const READ_KEPT: usize = 1 << 20;
/// How often the socket is read or written before other tasks get a turn.
const TURNS: usize = 32;
/// lapin takes a peer for dead that sends nothing; it does not see what goes to the channels, so it gets heartbeats instead.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);
/// The protocol header, which is no frame (AMQP 0-9-1 section 4.2.2).
const PROTOCOL_HEADER: usize = 8;

/// The task behind a [`Wire`].
pub(super) struct Pump<S> {
    socket: S,
    wire: Arc<Wire>,
    lapin: PumpEnd,
    /// `read[at..end]` is not handled yet.
    read: Vec<u8>,
    at: usize,
    end: usize,
    is_first_read: bool,
    /// `writing[written_to..]` is not written yet.
    writing: Vec<u8>,
    written_to: usize,
    /// How many bytes were written since the connection began.
    written: u64,
    needs_flush: bool,
    /// The peer did not take what we wrote: when it does, it lives.
    is_congested: bool,
    from_lapin: Vec<u8>,
    header_sent: bool,
    /// Messages of which not everything was here when they were read.
    assemblies: HashMap<u16, Assembly>,
    batch: Batch,
    last_for_lapin: Instant,
}

impl<S> Drop for Pump<S> {
    /// Ends every channel, also where the task panicked: nobody waits for ever.
    fn drop(&mut self) {
        let reason = self.wire.reason.get_or_init(|| "the task that reads the connection ended".to_owned());
        self.wire.lose(Lost { reason: reason.as_str().into(), written: self.written, refusal: None });
        self.lapin.end();
    }
}

// === impl Pump ===

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<S> {
    pub(super) fn new(socket: S, wire: Arc<Wire>, lapin: PumpEnd) -> Self {
        Self {
            socket,
            wire,
            lapin,
            read: vec![0; READ],
            at: 0,
            end: 0,
            is_first_read: true,
            writing: Vec::new(),
            written_to: 0,
            written: 0,
            needs_flush: false,
            is_congested: false,
            from_lapin: Vec::new(),
            header_sent: false,
            assemblies: HashMap::new(),
            batch: Batch::default(),
            last_for_lapin: Instant::now(),
        }
    }

    /// Runs until the connection ends.
    pub(super) async fn run(mut self) {
        let wire = Arc::clone(&self.wire);
        let ended = tokio::select! {
            biased;
            () = wire.kill.cancelled() => "the connection was given up".to_owned(),
            ended = std::future::poll_fn(|cx| self.poll(cx)) => ended,
        };
        // A reason that was set before is nearer to the cause: the broker's, or that of the task that gave the connection up.
        wire.reason.get_or_init(|| ended);
    }

    /// Works until nothing is left to do; ready with the reason when the connection has ended.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        for _ in 0..TURNS {
            self.wire.outbox.register(cx.waker());
            let lapin_lives = self.lapin.take(&mut self.from_lapin, cx.waker());
            if let Err(reason) = self.forward() {
                return Poll::Ready(reason);
            }
            let written = match self.poll_write(cx) {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return Poll::Ready(self.last_words(cx, &error)),
                Poll::Pending => false,
            };
            if !lapin_lives && self.written_to == self.writing.len() {
                return Poll::Ready("the connection was closed".to_owned());
            }
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready("the broker closed the connection".to_owned()),
                Poll::Ready(Ok(_)) => {
                    if let Err(reason) = self.handle_all() {
                        return Poll::Ready(reason);
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(broken("reading from", &error)),
                Poll::Pending if !written => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Handles what has arrived before writing failed: confirms, and the broker's own reason.
    fn last_words(&mut self, cx: &mut Context<'_>, error: &io::Error) -> String {
        while let Poll::Ready(Ok(1..)) = self.poll_read(cx) {
            if self.handle_all().is_err() {
                break;
            }
        }
        broken("writing to", error)
    }

    /// Writes what waits; `true` if something was written.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut any = false;
        loop {
            if self.written_to == self.writing.len() {
                self.written_to = 0;
                self.wire.outbox.take(&mut self.writing);
                if self.writing.is_empty() {
                    if self.needs_flush {
                        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
                        self.needs_flush = false;
                    }
                    return Poll::Ready(Ok(any));
                }
            }
            let end = self.writing.len().min(self.written_to + WRITE);
            let written = match Pin::new(&mut self.socket).poll_write(cx, &self.writing[self.written_to..end])
            {
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => {
                    // A TLS stream may have sent a part before it failed, and does not say how much.
                    self.written += (end - self.written_to) as u64;
                    return Poll::Ready(Err(error));
                }
                Poll::Pending => {
                    self.wire.congested.mark();
                    self.is_congested = true;
                    return if any { Poll::Ready(Ok(true)) } else { Poll::Pending };
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if std::mem::take(&mut self.is_congested) {
                self.wire.progress.mark();
            }
            self.written_to += written;
            self.written += written as u64;
            self.needs_flush = true;
            any = true;
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.socket).poll_read(cx, &mut self.read[self.end..]))?;
        if self.is_first_read {
            self.is_first_read = false;
            if let Some(hint) = hint::of_first_bytes(&self.read[..read]) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, hint)));
            }
        }
        self.end += read;
        Poll::Ready(Ok(read))
    }

    /// Gives what lapin wrote to the outbox, in whole frames.
    fn forward(&mut self) -> Result<(), String> {
        let mut at = 0;
        if !self.header_sent && self.from_lapin.len() >= PROTOCOL_HEADER {
            self.wire.outbox.append_connection(&self.from_lapin[..PROTOCOL_HEADER]);
            self.header_sent = true;
            at = PROTOCOL_HEADER;
        }
        if self.header_sent {
            loop {
                match frame::next(&self.from_lapin[at..]) {
                    Next::Frame(frame) => {
                        at += frame.bytes.len();
                        self.wire.forward(frame);
                    }
                    Next::Incomplete(_) => break,
                    Next::Malformed(reason) => return Err(reason),
                }
            }
        }
        self.from_lapin.drain(..at);
        Ok(())
    }

    /// Handles every frame that is complete, and makes room for the next ones.
    fn handle_all(&mut self) -> Result<(), String> {
        let read = std::mem::take(&mut self.read);
        let mut is_alive = false;
        let handled = loop {
            match frame::next(&read[self.at..self.end]) {
                Next::Frame(frame) => {
                    self.at += frame.bytes.len();
                    is_alive |= frame.kind != HEARTBEAT;
                    match self.handle(frame, &read[self.at..self.end]) {
                        Ok(more) => self.at += more,
                        Err(reason) => break Err(reason),
                    }
                }
                Next::Incomplete(needed) => break Ok(needed),
                Next::Malformed(reason) => {
                    break Err(format!("the peer does not speak AMQP 0-9-1: {reason}"));
                }
            }
        };
        self.batch.flush(&self.wire);
        self.read = read;
        self.make_room(handled?);
        // A part of a frame: the peer is at it.
        if is_alive || self.end > 0 {
            self.wire.progress.mark();
        }
        if self.last_for_lapin.elapsed() >= HEARTBEAT_EVERY {
            self.for_lapin(&HEARTBEAT_FRAME);
        }
        Ok(())
    }

    /// Makes room for a frame of so many bytes.
    fn make_room(&mut self, needed: usize) {
        self.read.copy_within(self.at..self.end, 0);
        self.end -= self.at;
        self.at = 0;
        if self.read.len() < needed {
            // Not all of it at once: a length that a peer only claims costs nothing.
            let grown = (self.end * 2).clamp(READ, needed.next_power_of_two());
            self.read.resize(grown.max(self.read.len()), 0);
        } else if self.end == 0 && self.read.len() > READ_KEPT {
            self.read = vec![0; READ];
        }
        if self.end == self.read.len() {
            self.read.resize(self.end + READ, 0);
        }
    }

    /// Handles a frame; returns how many of the bytes behind it were handled with it.
    fn handle(&mut self, frame: Frame<'_>, behind: &[u8]) -> Result<usize, String> {
        if frame.channel == 0 {
            self.batch.flush(&self.wire);
            return self.handle_connection(frame).map(|()| 0);
        }
        match frame.kind {
            METHOD => self.handle_method(frame, behind),
            HEADER | BODY => self.handle_content(frame).map(|()| 0),
            _ if self.wire.channel(frame.channel).is_none() => Err(not_open(frame.channel)),
            kind => Err(format!("a frame of the unknown kind {kind} came")),
        }
    }

    fn handle_method(&mut self, frame: Frame<'_>, behind: &[u8]) -> Result<usize, String> {
        let (id, fields) = method::split(frame.payload).ok_or("a method is too short")?;
        let read = match id {
            method::BASIC_DELIVER => method::read_deliver,
            method::BASIC_RETURN => method::read_return,
            _ => {
                self.batch.flush(&self.wire);
                return self.wire.handle_method(frame, id, fields).map(|()| 0);
            }
        };
        if !self.batch.is_of(frame.channel) && self.wire.channel(frame.channel).is_none() {
            return Err(not_open(frame.channel));
        }
        let carrier = read(fields).ok_or_else(|| malformed(id))?;
        if !self.assemblies.is_empty() && self.assemblies.contains_key(&frame.channel) {
            return Err("a method came in the middle of a content".to_owned());
        }
        if let Some((gathered, taken)) = assembly::whole(carrier, frame.channel, behind) {
            self.gathered(frame.channel, gathered);
            return Ok(taken);
        }
        self.assemblies.insert(frame.channel, Assembly::Method(Head::new(fields, read)));
        Ok(0)
    }

    fn handle_content(&mut self, frame: Frame<'_>) -> Result<(), String> {
        if self.wire.channel(frame.channel).is_none() {
            return Err(not_open(frame.channel));
        }
        let Some(assembly) = self.assemblies.remove(&frame.channel) else {
            return Err("a content came that no method announced".to_owned());
        };
        match assembly.next(frame) {
            Step::More(assembly) => {
                self.assemblies.insert(frame.channel, assembly);
            }
            Step::Complete(gathered) => self.gathered(frame.channel, gathered),
            Step::Malformed(reason) => return Err(reason.to_owned()),
        }
        Ok(())
    }

    fn gathered(&mut self, channel: u16, gathered: Gathered) {
        match gathered {
            Gathered::Delivered(delivered) => self.batch.push(channel, delivered, &self.wire),
            Gathered::Returned(content) => {
                self.batch.flush(&self.wire);
                // As with deliveries: nothing is told to a channel that we are closing.
                if let Some(sink) = self.wire.open_channel(channel).and_then(|state| state.sink()) {
                    self.wire.delivered.mark();
                    sink.returned(content);
                }
            }
        }
    }

    fn for_lapin(&mut self, bytes: &[u8]) {
        self.lapin.push(bytes);
        self.last_for_lapin = Instant::now();
    }
}

fn not_open(channel: u16) -> String {
    format!("a content came on channel {channel}, which is not open")
}

fn broken(what: &str, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::InvalidData {
        return error.to_string();
    }
    format!("{what} the socket failed: {error}")
}
