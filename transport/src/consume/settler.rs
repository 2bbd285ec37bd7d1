//! The only place that settles: turns settlements into frames on the channel that delivered, and on no other.

use std::{
    fmt,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use garenne_shared::QueueName;
use tokio::sync::{Notify, watch};

use super::{
    Settlement,
    coalescer::{Coalescer, Frame, Limits},
};
use crate::{
    metric,
    wire::{NotOpen, Sender, frame, method},
};

/// Settles the deliveries of one subscription.
pub(super) struct Settler {
    queue: QueueName,
    limits: Limits,
    /// A plain mutex: it is held for a few field updates and never across an await.
    inner: Mutex<Inner>,
    /// Told when something waits for the next tick.
    armed: Notify,
    /// Told when nothing is in flight any more.
    drained: Notify,
    /// The generation whose deliveries are current.
    current: watch::Sender<u64>,
}

struct Inner {
    /// How many deliveries were handed back since the last one came.
    released: u32,
    /// Counts the channels of the subscription; a settlement of another generation is stale.
    generation: u64,
    channel: Option<Sender>,
    coalescer: Coalescer,
    /// Reused between flushes.
    frames: Vec<Frame>,
    /// Whether a tick is on its way.
    armed: bool,
    /// When the last delivery came, or the channel began.
    delivered: Instant,
    /// Where to go on in a stream.
    resume_offset: Option<u64>,
}

// === impl Settler ===

impl Settler {
    pub(super) fn new(queue: QueueName, limits: Limits) -> Self {
        let inner = Inner {
            released: 0,
            generation: 0,
            channel: None,
            coalescer: Coalescer::new(limits),
            frames: Vec::new(),
            armed: false,
            delivered: Instant::now(),
            resume_offset: None,
        };
        Self {
            queue,
            limits,
            inner: Mutex::new(inner),
            armed: Notify::new(),
            drained: Notify::new(),
            current: watch::Sender::new(0),
        }
    }

    /// Starts over for a new channel and returns its generation.
    pub(super) fn begin(&self) -> u64 {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.channel = None;
        inner.delivered = Instant::now();
        inner.coalescer = Coalescer::new(self.limits);
        self.current.send_replace(inner.generation);
        inner.generation
    }

    /// Settles on this channel from now on, unless another generation has begun.
    pub(super) fn attach(&self, generation: u64, channel: Sender) {
        let mut inner = self.lock();
        if inner.generation == generation {
            inner.channel = Some(channel);
        }
    }

    /// Forgets the channel: what is settled from now on is stale. Returns how many deliveries were not settled.
    pub(super) fn end(&self) -> usize {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.channel = None;
        let done = inner.coalescer.waiting();
        let left = inner.coalescer.in_flight();
        inner.resume_offset = inner.coalescer.resume_offset().or(inner.resume_offset);
        inner.coalescer = Coalescer::new(self.limits);
        self.current.send_replace(inner.generation);
        drop(inner);
        self.count_lost(done);
        self.drained.notify_waiters();
        left
    }

    /// Returns whether deliveries of this generation can still be settled.
    pub(super) fn is_current(&self, generation: u64) -> bool {
        *self.current.borrow() == generation
    }

    /// Waits until deliveries of this generation can no longer be settled.
    pub(super) async fn stale(&self, generation: u64) {
        // It fails only with the sender, which is part of `self`.
        let _ = self.current.subscribe().wait_for(|current| *current != generation).await;
    }

    /// Takes note of deliveries of the channel, in order: of each its tag, and its offset in a stream.
    pub(super) fn delivered(&self, generation: u64, deliveries: impl Iterator<Item = (u64, Option<u64>)>) {
        let mut inner = self.lock();
        if inner.generation == generation {
            for (tag, offset) in deliveries {
                inner.coalescer.delivered(tag, offset);
            }
            inner.delivered = Instant::now();
            inner.released = 0;
        }
    }

    /// Notes that the channel of a generation is gone; [`end`](Self::end) follows.
    pub(super) fn lose(&self, generation: u64) {
        let mut inner = self.lock();
        if inner.generation == generation {
            inner.channel = None;
            self.current.send_replace(0);
        }
    }

    /// Returns where to go on reading, if the queue is a stream that has delivered something.
    pub(super) fn resume_offset(&self) -> Option<u64> {
        let inner = self.lock();
        inner.coalescer.resume_offset().or(inner.resume_offset)
    }

    /// Settles one delivery.
    pub(super) fn settle(&self, generation: u64, tag: u64, settlement: Settlement) {
        let mut inner = self.lock();
        if inner.generation != generation {
            drop(inner);
            // What was to be handed back is with the broker already; nothing is lost by that.
            if settlement != Settlement::Release {
                self.count_lost(1);
            }
            return;
        }
        if settlement == Settlement::Release {
            inner.released = inner.released.saturating_add(1);
        }
        let Inner { coalescer, frames, .. } = &mut *inner;
        coalescer.settle(tag, settlement, Instant::now, frames);
        let lost = inner.send();
        let drained = inner.coalescer.in_flight() == 0;
        let arm = !inner.armed && inner.coalescer.waiting() > 0;
        inner.armed |= arm;
        drop(inner);
        if arm {
            self.armed.notify_one();
        }
        if drained {
            self.drained.notify_waiters();
        }
        self.count_lost(lost);
    }

    /// Sends everything that is done.
    pub(super) fn flush(&self) {
        let mut inner = self.lock();
        let Inner { coalescer, frames, .. } = &mut *inner;
        coalescer.flush(Instant::now(), frames);
        let lost = inner.send();
        drop(inner);
        self.count_lost(lost);
    }

    /// Sends what has waited long enough, again and again while something waits. Never returns.
    pub(super) async fn tick_forever(&self) {
        loop {
            self.armed.notified().await;
            loop {
                tokio::time::sleep(self.limits.interval).await;
                if !self.tick() {
                    break;
                }
            }
        }
    }

    /// Returns how many deliveries were handed back since the last one came.
    pub(super) fn released(&self) -> u32 {
        self.lock().released
    }

    /// Returns how many deliveries are not settled.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().coalescer.in_flight()
    }

    /// Returns how long nothing has been delivered; zero if something is not settled.
    pub(super) fn idle_for(&self) -> std::time::Duration {
        let inner = self.lock();
        if inner.coalescer.in_flight() > 0 { std::time::Duration::ZERO } else { inner.delivered.elapsed() }
    }

    /// Waits until every delivery is settled.
    pub(super) async fn drained(&self) {
        loop {
            let mut drained = pin!(self.drained.notified());
            drained.as_mut().enable();
            if self.in_flight() == 0 {
                return;
            }
            drained.await;
        }
    }

    /// Returns `false` when nothing was left to wait for, and no further tick is needed.
    fn tick(&self) -> bool {
        let mut inner = self.lock();
        let Inner { coalescer, frames, .. } = &mut *inner;
        coalescer.tick(Instant::now(), frames);
        // One quiet tick ends the ticking, so that a busy consumer does not wake us for every batch.
        let more = !frames.is_empty() || coalescer.waiting() > 0;
        inner.armed = more;
        let lost = inner.send();
        drop(inner);
        self.count_lost(lost);
        more
    }

    fn count_lost(&self, lost: usize) {
        if lost > 0 {
            metric::settlements_lost(&self.queue, lost);
            tracing::debug!(queue = %self.queue, lost, "channel is gone, the broker redelivers what was settled too late");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler").field("queue", &self.queue).finish_non_exhaustive()
    }
}

// === impl Inner ===

impl Inner {
    /// Hands the frames to the channel, in order, and returns how many deliveries they could not settle.
    fn send(&mut self) -> usize {
        let Some(channel) = &self.channel else {
            return self.frames.drain(..).map(Frame::covers).sum();
        };
        self.frames.drain(..).filter(|frame| send(channel, *frame).is_err()).map(Frame::covers).sum()
    }
}

/// Appends a frame to what waits to be written; bounded by the prefetch.
fn send(channel: &Sender, frame: Frame) -> Result<u64, NotOpen> {
    channel.send(|out, id| {
        frame::write(out, frame::METHOD, id, |out| match frame {
            Frame::Ack { tag, multiple, .. } => method::write_ack(out, tag, multiple),
            Frame::Reject { tag, requeue } => method::write_reject(out, tag, requeue),
            Frame::Nack { tag } => method::write_nack(out, tag),
        });
    })
}
