//! Moves the bytes of one connection.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::frames::Frames;
use super::{Direction, Flow, Shared};

/// Bytes moved at once, each way.
const CHUNK_BYTES: usize = 16 * 1024;
/// How often bytes pass that trickle.
const TRICKLE: Duration = Duration::from_millis(50);

/// Forwards until either side closes, the proxy cuts, or the upstream cannot be reached.
pub(super) async fn forward(mut client: TcpStream, upstream: Arc<str>, shared: Arc<Shared>) {
    let _open = Open::new(&shared);
    let mut orders = shared.orders.subscribe();
    let generation = orders.borrow_and_update().generation;
    let cut = orders.wait_for(|orders| orders.generation != generation);

    let was_cut = tokio::select! {
        _ = cut => true,
        () = relay(&mut client, &upstream, &shared) => false,
    };
    if was_cut {
        // Without lingering the kernel sends a reset, as after a crash; otherwise the peer would see an orderly end.
        let _ = client.set_zero_linger();
    }
}

async fn relay(client: &mut TcpStream, upstream: &str, shared: &Shared) {
    let Ok(mut broker) = TcpStream::connect(upstream).await else { return };
    // The proxy must not delay small frames.
    let _ = (client.set_nodelay(true), broker.set_nodelay(true));
    let (client_read, client_write) = client.split();
    let (broker_read, broker_write) = broker.split();
    tokio::select! {
        _ = pump(client_read, broker_write, Direction::ToBroker, shared) => {}
        _ = pump(broker_read, client_write, Direction::ToClient, shared) => {}
    }
}

/// Copies one direction until its end, an error, or the byte at which the connection is to be cut.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    shared: &Shared,
) -> io::Result<()> {
    let mut orders = shared.orders.subscribe();
    let (mut chunk, mut passing) = (vec![0; CHUNK_BYTES], Vec::with_capacity(CHUNK_BYTES));
    let mut frames = Frames::new(direction);
    // The flow that has lost bytes of this connection: what follows them makes no sense any more.
    let mut lost = None;
    loop {
        let read = from.read(&mut chunk).await;
        if lost.is_some() && direction == Direction::ToClient && !matches!(read, Ok(1..)) {
            // What is lost on the way cannot be told: the client sees no end. The other direction ends the connection.
            std::future::pending::<()>().await;
        }
        let read = read?;
        if read == 0 {
            return Ok(());
        }
        // The sender lives as long as `shared`, so the only way out is that nothing holds the bytes.
        let _ = orders.wait_for(|orders| orders.flow(direction) != Flow::Held).await;
        let flow = lost.unwrap_or(orders.borrow().flow(direction));
        if matches!(flow, Flow::Swallowed | Flow::OnlyHeartbeats) {
            lost = Some(flow);
        }
        passing.clear();
        frames.pass(&chunk[..read], flow == Flow::OnlyHeartbeats, &mut passing);
        if flow == Flow::Swallowed || passing.is_empty() {
            continue;
        }
        let (allowed, cut) = shared.spend(direction, passing.len());
        write(&mut to, &passing[..allowed], direction, shared).await?;
        if cut {
            return Ok(());
        }
    }
}

/// Writes at once, or in small pieces while bytes are to trickle.
async fn write(
    to: &mut WriteHalf<'_>,
    mut bytes: &[u8],
    direction: Direction,
    shared: &Shared,
) -> io::Result<()> {
    while !bytes.is_empty() {
        let flow = shared.orders.borrow().flow(direction);
        let Flow::Slow { bytes_per_second } = flow else { return to.write_all(bytes).await };
        let (piece, rest) = bytes.split_at(bytes.len().min(bytes_per_second.div_ceil(20) as usize));
        to.write_all(piece).await?;
        bytes = rest;
        tokio::time::sleep(TRICKLE).await;
    }
    Ok(())
}

impl Shared {
    /// Takes `wanted` bytes from the budget; returns how many may pass, and whether the connection ends with them.
    fn spend(&self, direction: Direction, wanted: usize) -> (usize, bool) {
        let mut budget = self.budget();
        match &mut *budget {
            Some((limited, left)) if *limited == direction => {
                if let Some(rest) = left.checked_sub(wanted as u64).filter(|rest| *rest > 0) {
                    *left = rest;
                    return (wanted, false);
                }
                let allowed = usize::try_from(*left).unwrap_or(wanted);
                *budget = None;
                (allowed, true)
            }
            _ => (wanted, false),
        }
    }
}

/// Counts a connection as open for as long as it lives.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
