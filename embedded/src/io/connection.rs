//! The task of one connection: socket to engine to socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::handshake;
use super::hub::Hub;
use super::line::Line;
use super::peer::{End, PeerId, Status};

/// How much is read in one go, and handled under one lock.
const BATCH: usize = 128 << 10;
/// How many chunks are written in one go.
const CHUNKS: usize = 64;

/// Serves a client until one side hangs up.
pub(crate) async fn serve(hub: Arc<Hub>, mut stream: TcpStream) {
    let name = name(&stream);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let mut line = Line::new(hub.with(|engine, _| engine.core.faults.strike_connection()));
    let result = match line.before_amqp(&mut stream).await {
        Some(end) => Ok(end),
        None => {
            let (id, wake) = hub.with(|engine, _| engine.accept());
            converse(&Guard { hub, id }, &name, &wake, &mut stream, &mut line).await
        }
    };
    match result {
        Ok(End::Close) => {}
        Ok(End::Reset) => {
            // A reset instead of an orderly end.
            if let Err(error) = stream.set_zero_linger() {
                tracing::debug!(%error, "cannot reset a connection");
            }
        }
        Err(error) => tracing::debug!(name, %error, "connection lost"),
    }
}

/// Tells the engine that the socket is gone, however the task ends.
struct Guard {
    hub: Arc<Hub>,
    id: PeerId,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.hub.with(|engine, now| engine.lost(now, self.id));
    }
}

/// Both ends of the connection as RabbitMQ names it.
fn name(stream: &TcpStream) -> String {
    let end = |address: io::Result<std::net::SocketAddr>| {
        address.map_or_else(|_| "unknown".to_owned(), |a| a.to_string())
    };
    format!("{} -> {}", end(stream.peer_addr()), end(stream.local_addr()))
}

async fn converse(
    guard: &Guard,
    name: &str,
    wake: &Notify,
    stream: &mut TcpStream,
    line: &mut Line,
) -> io::Result<End> {
    let Guard { hub, id } = guard;
    let (mut reader, mut writer) = stream.split();
    let mut input = BytesMut::with_capacity(BATCH);
    let mut output = VecDeque::new();
    let mut written = 0;
    let mut pulse = Pulse::default();
    let mut patience = Patience::new();
    loop {
        let polled = hub.with(|engine, now| {
            engine.written(now, *id, written);
            if !input.is_empty() && patience.may_read() {
                let used = engine.receive(now, *id, name, &input);
                input.advance(used);
            }
            engine.poll(*id, &mut output)
        });
        let Some(status) = polled else { return Ok(End::Close) };
        line.limit(&mut output);
        written = write_now(&writer, &mut output)?;
        if line.has_sent(written) {
            return Ok(End::Reset);
        }
        pulse.set(status.heartbeat);
        pulse.wrote(written);
        patience.set(&status);
        match status.end {
            Some(End::Close) if output.is_empty() => {
                writer.shutdown().await?;
                // What is left unread would turn the end into a reset, and the client might lose the last frame.
                while reader.try_read(&mut [0; 4096]).is_ok_and(|size| size > 0) {}
                return Ok(End::Close);
            }
            Some(End::Reset) => return Ok(End::Reset),
            _ => {}
        }
        if status.is_full && written > 0 {
            // There may be room again, and nobody else would say so.
            continue;
        }
        if status.has_more && status.reads && patience.may_read() {
            tokio::task::yield_now().await;
            continue;
        }
        let reads = status.reads && patience.may_read();
        tokio::select! {
            biased;
            () = wake.notified() => {}
            result = writer.writable(), if !output.is_empty() => result?,
            beat = pulse.next(), if pulse.interval.is_some() => match beat {
                Beat::Send => hub.with(|engine, _| engine.beat(*id)),
                Beat::Dead => return Err(io::Error::new(io::ErrorKind::TimedOut, "missed heartbeats from client")),
                Beat::Fine => {}
            },
            is_over = patience.next(), if patience.is_limited() => if is_over {
                return Ok(End::Close);
            },
            size = line.read(&mut reader, &mut input, BATCH), if reads => {
                if size? == 0 {
                    return Ok(End::Close);
                }
                pulse.received = true;
                if line.has_received(&mut input) {
                    // What came before the cut still counts.
                    hub.with(|engine, now| engine.receive(now, *id, name, &input));
                    return Ok(End::Reset);
                }
            }
        }
    }
}

/// Writes what the socket takes at once.
fn write_now(writer: &WriteHalf<'_>, output: &mut VecDeque<Bytes>) -> io::Result<usize> {
    let mut total = 0;
    while !output.is_empty() {
        let mut slices = [IoSlice::new(&[]); CHUNKS];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(output.iter()) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        match writer.try_write_vectored(&slices[..count]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(size) => {
                total += size;
                advance(output, size);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

fn advance(output: &mut VecDeque<Bytes>, mut size: usize) {
    while let Some(first) = output.front_mut() {
        if size < first.len() {
            first.advance(size);
            return;
        }
        size -= first.len();
        output.pop_front();
    }
}

/// Heartbeats in both directions: `rabbit_heartbeat.erl`.
#[derive(Debug, Default)]
struct Pulse {
    /// Half of the negotiated time.
    interval: Option<Duration>,
    next: Option<Instant>,
    is_odd: bool,
    sent: bool,
    /// What is written next is a heartbeat, which does not count as output.
    is_beating: bool,
    received: bool,
    missed: u8,
}

enum Beat {
    Fine,
    Send,
    Dead,
}

// === impl Pulse ===

impl Pulse {
    fn set(&mut self, heartbeat: u16) {
        if self.interval.is_none() && heartbeat > 0 {
            let interval = Duration::from_secs(heartbeat.into()) / 2;
            self.interval = Some(interval);
            self.next = Some(Instant::now() + interval);
        }
    }

    /// A heartbeat goes out after half the time without output; a client is gone after two whole times without input.
    async fn next(&mut self) -> Beat {
        let (Some(interval), Some(next)) = (self.interval, self.next) else {
            return std::future::pending().await;
        };
        sleep_until(next).await;
        self.next = Some(next + interval);
        self.is_odd = !self.is_odd;
        if !self.is_odd {
            self.missed = if std::mem::take(&mut self.received) { 0 } else { self.missed + 1 };
            if self.missed == 2 {
                return Beat::Dead;
            }
        }
        if std::mem::take(&mut self.sent) {
            return Beat::Fine;
        }
        self.is_beating = true;
        Beat::Send
    }

    fn wrote(&mut self, bytes: usize) {
        self.sent |= bytes > 0 && !std::mem::take(&mut self.is_beating);
    }
}

/// How long the client may still take: to open the connection, to answer a close, or while a fault keeps it unread.
#[derive(Debug)]
struct Patience {
    opening: Option<Instant>,
    closing: Option<Instant>,
    pause: Option<Instant>,
}

// === impl Patience ===

impl Patience {
    fn new() -> Self {
        Self { opening: Some(Instant::now() + handshake::TIMEOUT), closing: None, pause: None }
    }

    fn set(&mut self, status: &Status) {
        if status.is_open || status.linger.is_some() {
            self.opening = None;
        }
        if let (None, Some(linger)) = (self.closing, status.linger) {
            self.closing = Some(Instant::now() + linger);
        }
        if let Some(pause) = status.pause {
            self.pause = Some(Instant::now() + pause);
        }
    }

    fn may_read(&self) -> bool {
        self.pause.is_none()
    }

    fn is_limited(&self) -> bool {
        self.opening.is_some() || self.closing.is_some() || self.pause.is_some()
    }

    /// Waits for the nearest limit; returns `true` if the connection is over.
    async fn next(&mut self) -> bool {
        let limits = [self.opening, self.closing, self.pause];
        let Some(nearest) = limits.into_iter().flatten().min() else { return std::future::pending().await };
        sleep_until(nearest).await;
        if self.pause == Some(nearest) {
            self.pause = None;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_gone_after_two_whole_times_and_hears_from_the_broker_until_then() {
        let mut pulse = Pulse::default();
        pulse.set(10);
        // The handshake.
        pulse.received = true;
        let begin = Instant::now();
        let mut beats = 0;
        while !matches!(pulse.next().await, Beat::Dead) {
            // The heartbeat itself does not put off the next one.
            pulse.wrote(8);
            beats += 1;
        }
        assert_eq!((begin.elapsed().as_secs(), beats), (30, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_and_received_counts_as_a_heartbeat() {
        let mut pulse = Pulse::default();
        pulse.set(2);
        for _ in 0..20 {
            pulse.received = true;
            pulse.wrote(1);
            assert!(matches!(pulse.next().await, Beat::Fine));
        }
    }

    #[test]
    fn what_was_written_is_dropped_and_the_rest_kept() {
        let mut output: VecDeque<Bytes> = ["abc", "", "de", "fgh"].map(Bytes::from).into();
        advance(&mut output, 4);
        assert_eq!(output, ["e", "fgh"].map(Bytes::from));
        advance(&mut output, 4);
        assert!(output.is_empty());
    }
}
