//! What came from the present channel and waits for a reader.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::sync::{Notify, watch};

use super::{Delivery, STREAM_OFFSET, Settlement, Unsettled, settler::Settler};
use crate::{
    content,
    wire::{Channel, Delivered, End as ChannelEnd, Sink},
};

/// Where the reader takes deliveries from, whichever channel they come from at the time.
pub(super) struct Intake {
    settler: Arc<Settler>,
    /// A plain mutex: it is held for a few field updates and never across an await.
    inner: Mutex<Inner>,
    /// Told when the present channel has ended.
    ended: Notify,
    /// Becomes `true` when no channel follows.
    over: watch::Sender<bool>,
}

/// What one channel delivers. An older channel than the present one delivers to nobody.
#[derive(Debug)]
pub(super) struct Feed {
    intake: Arc<Intake>,
    generation: u64,
}

struct Inner {
    generation: u64,
    /// At most as many as the prefetch: the broker sends no more before they are settled.
    ready: VecDeque<Delivered>,
    end: Option<End>,
    /// No channel follows: the reader gets what is ready and then `None`.
    over: bool,
    reader: Option<Waker>,
}

/// How the deliveries of a channel ended.
#[derive(Debug)]
pub(super) enum End {
    /// By `basic.cancel` of the broker; the channel is still open.
    Cancelled,
    /// With the channel, or with the connection.
    Channel(ChannelEnd),
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(settler: Arc<Settler>, over: watch::Sender<bool>) -> Self {
        let inner = Inner { generation: 0, ready: VecDeque::new(), end: None, over: false, reader: None };
        Self { settler, inner: Mutex::new(inner), ended: Notify::new(), over }
    }

    /// Takes deliveries from a new channel from now on; gives what its deliveries go to.
    pub(super) fn begin(self: &Arc<Self>) -> Feed {
        let generation = self.settler.begin();
        let mut inner = self.lock();
        inner.generation = generation;
        inner.ready.clear();
        inner.end = None;
        drop(inner);
        Feed { intake: Arc::clone(self), generation }
    }

    /// Settles on this channel what it delivers.
    pub(super) fn attach(&self, feed: &Feed, channel: &Channel) {
        self.settler.attach(feed.generation, channel.sender());
    }

    /// Drops what came from a channel that is gone and was not read: the broker delivers it again.
    pub(super) fn reset(&self) {
        let mut inner = self.lock();
        inner.generation = 0;
        inner.ready.clear();
        inner.end = None;
    }

    /// Lets the reader come to an end: what is ready is the last.
    pub(super) fn finish(&self) {
        let mut inner = self.lock();
        inner.over = true;
        inner.wake();
        drop(inner);
        self.over.send_replace(true);
    }

    /// Returns whether no deliveries follow.
    pub(super) fn is_over(&self) -> bool {
        self.lock().over
    }

    /// Hands back what nobody will read any more.
    pub(super) fn release_unread(&self) {
        let mut inner = self.lock();
        let generation = inner.generation;
        let unread = std::mem::take(&mut inner.ready);
        drop(inner);
        for delivered in unread {
            self.settler.settle(generation, delivered.tag, Settlement::Release);
        }
    }

    /// Waits until the channel may have ended.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Takes note of how the deliveries ended, if they have.
    pub(super) fn take_end(&self) -> Option<End> {
        self.lock().end.take()
    }

    /// Polls for the next delivery.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut inner = self.lock();
        if let Some(delivered) = inner.ready.pop_front() {
            let generation = inner.generation;
            drop(inner);
            let unsettled = Unsettled::new(self.settler.clone(), generation, delivered.tag);
            let message = content::incoming(delivered);
            return Poll::Ready(Some(Delivery { message, unsettled }));
        }
        if inner.over {
            return Poll::Ready(None);
        }
        if !inner.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            inner.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn end(&self, generation: u64, end: End) {
        let mut inner = self.lock();
        if inner.generation == generation {
            inner.end.get_or_insert(end);
            drop(inner);
            self.ended.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake").finish_non_exhaustive()
    }
}

// === impl Feed ===

impl Sink for Feed {
    fn delivered(&self, deliveries: &mut Vec<Delivered>) {
        let Intake { settler, .. } = &*self.intake;
        let mut inner = self.intake.lock();
        if inner.generation != self.generation {
            drop(inner);
            deliveries.clear();
            return;
        }
        // Known before anybody can settle them.
        settler.delivered(
            self.generation,
            deliveries.iter().map(|delivered| (delivered.tag, stream_offset(delivered))),
        );
        inner.ready.extend(deliveries.drain(..));
        let reader = inner.reader.take();
        // Outside the lock, which the reader takes first of all.
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn cancelled(&self) {
        self.intake.end(self.generation, End::Cancelled);
    }

    fn ended(&self, end: &ChannelEnd) {
        // At once: settlements from now on are stale, and tasks that wait for that are woken.
        self.intake.settler.lose(self.generation);
        self.intake.end(self.generation, End::Channel(end.clone()));
    }
}

// === impl End ===

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => {
                f.write_str("the broker cancelled the consumer: queue deleted, moved, or consumer timeout")
            }
            Self::Channel(end) => end.fmt(f),
        }
    }
}

// === impl Inner ===

impl Inner {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Returns the offset of a delivery that comes from a stream (<https://www.rabbitmq.com/docs/streams#consuming>).
fn stream_offset(delivered: &Delivered) -> Option<u64> {
    u64::try_from(content::header_int(&delivered.content.properties, STREAM_OFFSET)?).ok()
}
