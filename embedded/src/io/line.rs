//! Faults of one TCP connection: cut after so many bytes, slow, or dead from the start.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::time::Instant;

use super::peer::End;
use crate::faults::ConnectFault;

/// The fault of a connection and how far it has come.
#[derive(Debug)]
pub(super) struct Line {
    fault: Option<ConnectFault>,
    received: u64,
    sent: u64,
    /// When a slow connection may be read again.
    next_read: Instant,
}

// === impl Line ===

impl Line {
    pub(super) fn new(fault: Option<ConnectFault>) -> Self {
        Self { fault, received: 0, sent: 0, next_read: Instant::now() }
    }

    /// Ends the connection before AMQP begins, if that is its fault.
    pub(super) async fn before_amqp(&self, stream: &mut TcpStream) -> Option<End> {
        match self.fault? {
            ConnectFault::Refuse => Some(End::Reset),
            ConnectFault::AcceptThenClose => Some(End::Close),
            ConnectFault::Silent => {
                let mut ignored = BytesMut::new();
                while matches!(stream.read_buf(&mut ignored).await, Ok(1..)) {
                    ignored.clear();
                }
                Some(End::Close)
            }
            _ => None,
        }
    }

    /// Reads at most a batch, in the time that a slow connection takes for it.
    pub(super) async fn read(
        &mut self,
        reader: &mut ReadHalf<'_>,
        input: &mut BytesMut,
        batch: usize,
    ) -> io::Result<usize> {
        // A frame may be larger than a batch; what is here of it stays.
        if input.capacity() - input.len() < batch / 2 {
            input.reserve(batch);
        }
        let Some(ConnectFault::SlowReader { bytes_per_second }) = self.fault else {
            let size = reader.read_buf(input).await?;
            self.received += size as u64;
            return Ok(size);
        };
        tokio::time::sleep_until(self.next_read).await;
        let share = (bytes_per_second / 10).clamp(1, batch as u64);
        let size = reader.take(share).read_buf(input).await?;
        self.next_read = Instant::now() + Duration::from_secs(size as u64) / per_second(bytes_per_second);
        Ok(size)
    }

    /// Cuts what is read to what comes before the cut; returns whether the connection is to be cut.
    pub(super) fn has_received(&self, input: &mut BytesMut) -> bool {
        let Some(ConnectFault::CutAfterReceived(limit)) = self.fault else { return false };
        let Some(over) = self.received.checked_sub(limit) else { return false };
        input.truncate(input.len().saturating_sub(usize::try_from(over).unwrap_or(usize::MAX)));
        true
    }

    /// Cuts what is to be written to what comes before the cut.
    pub(super) fn limit(&self, output: &mut VecDeque<Bytes>) {
        let Some(ConnectFault::CutAfterSent(limit)) = self.fault else { return };
        let mut room = usize::try_from(limit.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        output.retain_mut(|chunk| {
            chunk.truncate(room);
            room -= chunk.len();
            !chunk.is_empty()
        });
    }

    /// Counts what was written; returns whether the connection is to be cut.
    pub(super) fn has_sent(&mut self, written: usize) -> bool {
        self.sent += written as u64;
        matches!(self.fault, Some(ConnectFault::CutAfterSent(limit)) if self.sent >= limit)
    }
}

fn per_second(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).max(1)
}
