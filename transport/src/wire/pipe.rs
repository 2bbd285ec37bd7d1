//! The stream that lapin reads and writes: memory, with the pump at the other end.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use futures_util::io::{AsyncRead, AsyncWrite};

/// lapin's end. Dropping it tells the pump that lapin is done.
#[derive(Debug)]
pub(crate) struct Pipe(Arc<Shared>);

/// The pump's end.
#[derive(Debug)]
pub(super) struct PumpEnd(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared(Mutex<Inner>);

/// Only channel 0 passes here, a few frames a minute; the handshake bounds the rest.
#[derive(Debug, Default)]
struct Inner {
    to_lapin: Vec<u8>,
    from_lapin: Vec<u8>,
    lapin: Option<Waker>,
    pump: Option<Waker>,
    /// No more bytes come for lapin.
    ended: bool,
    lapin_is_gone: bool,
}

/// Makes both ends.
pub(super) fn pipe() -> (Pipe, PumpEnd) {
    let shared = Arc::new(Shared::default());
    (Pipe(Arc::clone(&shared)), PumpEnd(shared))
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl PumpEnd ===

impl PumpEnd {
    /// Gives bytes to lapin.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut inner = self.0.lock();
        inner.to_lapin.extend_from_slice(bytes);
        wake(inner.lapin.take());
    }

    /// Takes what lapin has written, and wakes this waker when more comes; `false` once lapin is gone.
    pub(super) fn take(&self, into: &mut Vec<u8>, waker: &Waker) -> bool {
        let mut inner = self.0.lock();
        into.append(&mut inner.from_lapin);
        inner.pump = Some(waker.clone());
        !inner.lapin_is_gone
    }

    /// Lets lapin see the end of the stream.
    pub(super) fn end(&self) {
        let mut inner = self.0.lock();
        inner.ended = true;
        wake(inner.lapin.take());
    }
}

impl Drop for PumpEnd {
    fn drop(&mut self) {
        self.end();
    }
}

// === impl Pipe ===

impl AsyncRead for Pipe {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        if inner.to_lapin.is_empty() && !inner.ended {
            inner.lapin = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = buffer.len().min(inner.to_lapin.len());
        buffer[..len].copy_from_slice(&inner.to_lapin[..len]);
        inner.to_lapin.drain(..len);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.0.lock();
        if inner.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        inner.from_lapin.extend_from_slice(bytes);
        wake(inner.pump.take());
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.lapin_is_gone = true;
        wake(inner.pump.take());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
