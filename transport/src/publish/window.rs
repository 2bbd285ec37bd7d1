//! How many publishes may be under way, by count and by bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{AcquireError, Semaphore};

/// The window that all publishes of a client share.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    size_bytes: usize,
    count: Semaphore,
    bytes: Semaphore,
    /// The free places do not tell: draining takes them all.
    under_way: AtomicUsize,
}

/// A publish's place in the window; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    window: Arc<Window>,
    bytes: u32,
}

// === impl Window ===

impl Window {
    pub(super) fn new(size: usize, size_bytes: u64) -> Self {
        let size = size.clamp(1, Semaphore::MAX_PERMITS);
        let size_bytes = usize::try_from(size_bytes).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            size,
            size_bytes,
            count: Semaphore::new(size),
            bytes: Semaphore::new(size_bytes),
            under_way: AtomicUsize::new(0),
        }
    }

    /// Returns how many publishes have a place.
    pub(super) fn under_way(&self) -> usize {
        self.under_way.load(Relaxed)
    }

    /// Takes a place for a body of so many bytes, if there is one at once.
    pub(super) fn try_place(self: &Arc<Self>, body_len: usize) -> Option<Place> {
        let bytes = self.bytes_for(body_len);
        let place = self.count.try_acquire().ok()?;
        let room = self.bytes.try_acquire_many(bytes).ok()?;
        room.forget();
        place.forget();
        Some(self.taken(bytes))
    }

    /// Waits for a place for a body of so many bytes. It fails once the window is closed.
    pub(super) async fn place(self: &Arc<Self>, body_len: usize) -> Result<Place, AcquireError> {
        let bytes = self.bytes_for(body_len);
        let place = self.count.acquire().await?;
        let room = self.bytes.acquire_many(bytes).await?;
        room.forget();
        place.forget();
        Ok(self.taken(bytes))
    }

    /// Waits until every place is free, and takes them.
    pub(super) async fn drained(&self) -> Result<tokio::sync::SemaphorePermit<'_>, AcquireError> {
        self.count.acquire_many(u32::try_from(self.size).unwrap_or(u32::MAX)).await
    }

    /// Gives no more places.
    pub(super) fn close(&self) {
        self.count.close();
        self.bytes.close();
    }

    /// A body above the whole window passes when nothing else is in it.
    fn bytes_for(&self, body_len: usize) -> u32 {
        u32::try_from(body_len.min(self.size_bytes)).unwrap_or(u32::MAX)
    }

    fn taken(self: &Arc<Self>, bytes: u32) -> Place {
        self.under_way.fetch_add(1, Relaxed);
        Place { window: Arc::clone(self), bytes }
    }
}

// === impl Place ===

impl Place {
    /// Returns how many bytes of the window it takes.
    pub(super) const fn bytes(&self) -> u32 {
        self.bytes
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Window { count, bytes, under_way, .. } = &*self.window;
        under_way.fetch_sub(1, Relaxed);
        bytes.add_permits(self.bytes as usize);
        count.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_is_free_again_when_it_is_dropped() {
        let window = Arc::new(Window::new(2, 10));
        let first = window.try_place(4).expect("the window is empty");
        let second = window.try_place(6).expect("there is room");
        assert!(window.try_place(0).is_none(), "two places are taken");
        drop(second);
        assert!(window.try_place(7).is_none(), "six bytes are left");
        assert_eq!((window.under_way(), first.bytes()), (1, 4));
        drop(first);
        // Larger than the window: it takes all of it.
        let large = window.place(1 << 20).await.expect("the window is open");
        assert!(window.try_place(1).is_none());
        drop(large);
        let all = window.drained().await.expect("the window is open");
        assert_eq!(window.under_way(), 0);
        window.close();
        drop(all);
        assert!(window.place(1).await.is_err());
    }
}
