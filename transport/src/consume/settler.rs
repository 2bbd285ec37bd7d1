//! The only place that settles: turns settlements into frames on the channel that delivered, and on no other.

use std::{
    fmt,
    future::Future,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};

use garenne_shared::QueueName;
use lapin::{
    Channel,
    options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions},
};
use tokio::sync::{Notify, watch};

use super::{
    Settlement,
    coalescer::{Coalescer, Frame, Limits},
};
use crate::metric;

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
    /// Counts the channels of the subscription; a settlement of another generation is stale.
    generation: u64,
    channel: Option<Channel>,
    coalescer: Coalescer,
    /// Reused between flushes.
    frames: Vec<Frame>,
    /// Whether a tick is on its way.
    armed: bool,
    /// Where to go on in a stream.
    resume_offset: Option<u64>,
}

// === impl Settler ===

impl Settler {
    pub(super) fn new(queue: QueueName, limits: Limits) -> Self {
        let inner = Inner {
            generation: 0,
            channel: None,
            coalescer: Coalescer::new(limits),
            frames: Vec::new(),
            armed: false,
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

    /// Starts over with a new channel and returns its generation.
    pub(super) fn begin(&self, channel: Channel) -> u64 {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.channel = Some(channel);
        inner.coalescer = Coalescer::new(self.limits);
        self.current.send_replace(inner.generation);
        inner.generation
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

    /// Takes note of deliveries that came from the channel, in order: their tags, and their offsets in a stream.
    pub(super) fn delivered(&self, generation: u64, deliveries: impl Iterator<Item = (u64, Option<u64>)>) {
        let mut inner = self.lock();
        if inner.generation == generation {
            deliveries.for_each(|(tag, offset)| inner.coalescer.delivered(tag, offset));
        }
    }

    /// Returns where to go on reading, if the queue is a stream that has delivered something.
    pub(super) fn resume_offset(&self) -> Option<u64> {
        self.lock().resume_offset
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

    /// Returns how many deliveries are not settled.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().coalescer.in_flight()
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
        let mut lost = 0;
        for frame in self.frames.drain(..) {
            if !self.channel.as_ref().is_some_and(|channel| sent(channel, frame)) {
                lost += frame.covers();
            }
        }
        lost
    }
}

/// Puts a frame on the channel's outbound queue; `false` if the channel is dead.
///
/// The first poll queues the frame, and dropping the future then takes nothing back; what it would still wait for is that
/// the bytes are written. That wait is left out here (closing makes up for it with one round trip), because it costs
/// two thread switches a frame. The outbound queue is bounded all the same: by the prefetch.
fn sent(channel: &Channel, frame: Frame) -> bool {
    match frame {
        Frame::Ack { tag, multiple, .. } => queued(channel.basic_ack(tag, BasicAckOptions { multiple })),
        Frame::Reject { tag, requeue } => queued(channel.basic_reject(tag, BasicRejectOptions { requeue })),
        Frame::Nack { tag } => {
            queued(channel.basic_nack(tag, BasicNackOptions { multiple: false, requeue: true }))
        }
    }
}

fn queued(sending: impl Future<Output = lapin::Result<()>>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    !matches!(pin!(sending).poll(&mut cx), Poll::Ready(Err(_)))
}
