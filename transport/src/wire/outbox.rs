//! What waits to be written to the socket: whole frames, in the order in which they were appended.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::Waker,
};

use futures_util::task::AtomicWaker;

/// A buffer that grew beyond this is not kept when it is empty: 1 MiB.
const KEPT: usize = 1 << 20;

/// Where a channel stands; changed and read under the lock of the outbox only, so that no frame follows the one that ends it.
#[derive(Debug, Default)]
pub(super) struct Life(AtomicU8);

/// The stages in the life of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `channel.open` was sent.
    Opening,
    Open,
    /// We sent `channel.close`.
    Closing,
    /// Closed by the broker, or with its connection.
    Ended,
}

/// What waits to be written. Bounded by what is appended: the publish window (twice, where publishes were given up and their bytes still
/// wait), the prefetch, one request a channel.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    inner: Mutex<Inner>,
    pump: AtomicWaker,
}

#[derive(Debug, Default)]
struct Inner {
    bytes: Vec<u8>,
    /// How many bytes were appended since the connection began.
    appended: u64,
    ended: bool,
}

/// The channel, or its connection, takes no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOpen;

// === impl Life ===

impl Life {
    fn stage(&self) -> Stage {
        match self.0.load(Relaxed) {
            0 => Stage::Opening,
            1 => Stage::Open,
            2 => Stage::Closing,
            _ => Stage::Ended,
        }
    }

    fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Relaxed);
    }
}

// === impl Outbox ===

impl Outbox {
    /// Appends frames of an open channel; returns the position behind their last byte.
    pub(super) fn append(&self, life: &Life, write: impl FnOnce(&mut Vec<u8>)) -> Result<u64, NotOpen> {
        let mut inner = self.lock();
        if life.stage() != Stage::Open {
            return Err(NotOpen);
        }
        self.write(&mut inner, write)
    }

    /// Changes the stage of a channel from one of `from`, and appends the frames that go with it.
    pub(super) fn change(
        &self,
        life: &Life,
        from: &[Stage],
        to: Stage,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), NotOpen> {
        let mut inner = self.lock();
        if !from.contains(&life.stage()) {
            return Err(NotOpen);
        }
        life.set(to);
        self.write(&mut inner, write).map(|_| ())
    }

    /// Returns where a channel stands.
    pub(super) fn stage(&self, life: &Life) -> Stage {
        let _inner = self.lock();
        life.stage()
    }

    /// Appends frames that belong to no channel of ours.
    pub(super) fn append_connection(&self, bytes: &[u8]) {
        let mut inner = self.lock();
        // The connection has ended: nobody reads them.
        let _ = self.write(&mut inner, |out| out.extend_from_slice(bytes));
    }

    /// Takes no more frames from now on.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.pump.wake();
    }

    /// Gives everything that waits to the pump, whose buffer must be empty.
    pub(super) fn take(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        if buffer.capacity() > KEPT {
            *buffer = Vec::new();
        }
        std::mem::swap(&mut self.lock().bytes, buffer);
    }

    /// Wakes this one when something is appended.
    pub(super) fn register(&self, waker: &Waker) {
        self.pump.register(waker);
    }

    fn write(&self, inner: &mut Inner, write: impl FnOnce(&mut Vec<u8>)) -> Result<u64, NotOpen> {
        if inner.ended {
            return Err(NotOpen);
        }
        let before = inner.bytes.len();
        write(&mut inner.bytes);
        inner.appended += (inner.bytes.len() - before) as u64;
        if before == 0 && !inner.bytes.is_empty() {
            self.pump.wake();
        }
        Ok(inner.appended)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_follows_the_frame_that_ends_a_channel() {
        let (outbox, life) = (Outbox::default(), Life::default());
        assert_eq!(outbox.append(&life, |out| out.push(1)), Err(NotOpen));
        outbox.change(&life, &[Stage::Opening], Stage::Open, |_| {}).unwrap();
        assert_eq!(outbox.append(&life, |out| out.extend([1, 2])), Ok(2));
        outbox.change(&life, &[Stage::Open], Stage::Ended, |out| out.push(3)).unwrap();
        assert_eq!(outbox.append(&life, |out| out.push(4)), Err(NotOpen));
        assert_eq!(outbox.change(&life, &[Stage::Open], Stage::Closing, |out| out.push(5)), Err(NotOpen));
        let mut taken = Vec::new();
        outbox.take(&mut taken);
        assert_eq!(taken, [1, 2, 3]);
    }

    #[test]
    fn positions_count_what_was_taken_too() {
        let (outbox, life) = (Outbox::default(), Life::default());
        outbox.change(&life, &[Stage::Opening], Stage::Open, |_| {}).unwrap();
        outbox.append(&life, |out| out.extend([1, 2])).unwrap();
        outbox.take(&mut Vec::new());
        assert_eq!(outbox.append(&life, |out| out.push(3)), Ok(3));
        outbox.end();
        assert_eq!(outbox.append(&life, |out| out.push(4)), Err(NotOpen));
    }
}
