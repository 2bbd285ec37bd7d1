//! The stream of the present channel, and what came from it and waits for a reader.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use futures_util::Stream as _;
use garenne_shared::Incoming;
use lapin::{message::Delivery as Raw, types::AMQPValue};
use tokio::sync::{Notify, watch};

use super::{Delivery, STREAM_OFFSET, Settlement, Unsettled, settler::Settler};
use crate::convert;

/// Where the reader takes deliveries from, whichever channel they come from at the time.
pub(super) struct Intake {
    settler: Arc<Settler>,
    /// A plain mutex: it is held while ready deliveries are taken over and never across an await.
    inner: Mutex<Inner>,
    /// Told when the stream has ended.
    ended: Notify,
    /// Becomes `true` when no channel follows.
    over: watch::Sender<bool>,
}

struct Inner {
    generation: u64,
    consumer: Option<lapin::Consumer>,
    /// At most as many as the prefetch: the broker sends no more before they are settled.
    ready: VecDeque<Raw>,
    end: Option<End>,
    /// No channel follows: the reader gets what is ready and then `None`.
    over: bool,
    reader: Option<Waker>,
}

/// How the stream of a channel ended.
#[derive(Debug)]
pub(super) enum End {
    /// By `basic.cancel` of either side; the channel is still open.
    Cancelled,
    /// With the channel.
    Failed(lapin::Error),
    /// With the connection.
    Lost,
}

// === impl Intake ===

impl Intake {
    pub(super) fn new(settler: Arc<Settler>, over: watch::Sender<bool>) -> Self {
        let inner = Inner {
            generation: 0,
            consumer: None,
            ready: VecDeque::new(),
            end: None,
            over: false,
            reader: None,
        };
        Self { settler, inner: Mutex::new(inner), ended: Notify::new(), over }
    }

    /// Reads from a new channel from now on.
    pub(super) fn begin(&self, generation: u64, consumer: lapin::Consumer) {
        let mut inner = self.lock();
        inner.generation = generation;
        inner.consumer = Some(consumer);
        inner.ready.clear();
        inner.end = None;
        inner.wake();
    }

    /// Drops what came from a channel that is gone and was not read: the broker delivers it again.
    pub(super) fn reset(&self) {
        let mut inner = self.lock();
        inner.consumer = None;
        inner.ready.clear();
        inner.end = None;
    }

    /// Takes over what the channel still has and lets the reader come to an end.
    pub(super) fn finish(&self) {
        let mut inner = self.lock();
        inner.look(&self.settler);
        inner.consumer = None;
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
        for raw in inner.ready.drain(..) {
            self.settler.settle(generation, raw.delivery_tag, Settlement::Release);
        }
    }

    /// Looks at the stream on the reader's behalf, so that its end is noticed also while nobody reads.
    pub(super) fn look(&self) {
        let mut inner = self.lock();
        if inner.look(&self.settler) {
            inner.wake();
        }
        if inner.end.is_some() {
            self.ended.notify_one();
        }
    }

    /// Waits until the stream may have ended.
    pub(super) async fn ended(&self) {
        self.ended.notified().await;
    }

    /// Takes note of how the stream ended, if it has.
    pub(super) fn take_end(&self) -> Option<End> {
        self.lock().end.take()
    }

    /// Polls for the next delivery.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let mut inner = self.lock();
        if inner.ready.is_empty() && !inner.over {
            inner.fill(cx, &self.settler);
            if inner.end.is_some() {
                self.ended.notify_one();
            }
        }
        if let Some(raw) = inner.ready.pop_front() {
            let generation = inner.generation;
            drop(inner);
            return Poll::Ready(Some(self.delivery(generation, raw)));
        }
        if inner.over {
            return Poll::Ready(None);
        }
        if !inner.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            inner.reader = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn delivery(&self, generation: u64, raw: Raw) -> Delivery {
        let unsettled = Unsettled::new(self.settler.clone(), generation, raw.delivery_tag);
        let message = Incoming {
            exchange: raw.exchange.as_str().to_owned(),
            routing_key: raw.routing_key.as_str().to_owned(),
            redelivered: raw.redelivered,
            metadata: convert::metadata(&raw.properties),
            body: Bytes::from(raw.data),
        };
        Delivery { message, unsettled }
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

// === impl End ===

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => {
                f.write_str("the broker cancelled the consumer: queue deleted, moved, or consumer timeout")
            }
            Self::Failed(error) => write!(f, "the channel ended: {error}"),
            Self::Lost => f.write_str("the connection was lost"),
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Takes over everything the stream has, so that the coalescer knows what else is in flight.
    fn fill(&mut self, cx: &mut Context<'_>, settler: &Settler) {
        let Some(consumer) = &mut self.consumer else { return };
        let before = self.ready.len();
        let end = loop {
            match Pin::new(&mut *consumer).poll_next(cx) {
                Poll::Ready(Some(Ok(raw))) => self.ready.push_back(raw),
                // The stream is not fused: after its end it must not be polled.
                Poll::Ready(Some(Err(error))) => break Some(End::Failed(error)),
                Poll::Ready(None) => break Some(End::Cancelled),
                Poll::Pending => break None,
            }
        };
        if self.ready.len() > before {
            let new = self.ready.range(before..).map(|raw| (raw.delivery_tag, stream_offset(raw)));
            settler.delivered(self.generation, new);
        }
        if end.is_some() {
            self.consumer = None;
            self.end = end;
        }
    }

    /// Fills with the reader's own waker, which the stream would otherwise forget; `true` if there is something to read.
    fn look(&mut self, settler: &Settler) -> bool {
        let reader = self.reader.clone().unwrap_or_else(|| Waker::noop().clone());
        self.fill(&mut Context::from_waker(&reader), settler);
        !self.ready.is_empty()
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Returns the offset of a delivery that comes from a stream (<https://www.rabbitmq.com/docs/streams#consuming>).
fn stream_offset(raw: &Raw) -> Option<u64> {
    match raw.properties.headers().as_ref()?.inner().get(STREAM_OFFSET)? {
        AMQPValue::LongLongInt(offset) => u64::try_from(*offset).ok(),
        _ => None,
    }
}
