//! Goes through a dead-letter queue once: what is not removed is handed back in the end, in its order.

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use garenne_shared::QueueName;
use garenne_transport::{Client, ErrorKind, Settlement, Subscriber, Subscription, Unsettled};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    DeadLetter, DeadLetterError, Filter,
    pace::Pace,
    summary::{Fate, Kept},
};

/// The most messages that are held at a time: 65,535, the largest prefetch of AMQP.
pub const WINDOW: u16 = u16::MAX;

/// How many messages are published at a time.
const CONCURRENCY: usize = 32;

/// After how much silence the queue is asked whether anything is left.
const SILENCE: Duration = Duration::from_millis(500);

/// Where a message stands in its stream; other queues do not write it.
const STREAM_OFFSET: &str = "x-stream-offset";

/// What was looked at in a dead-letter queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Looked {
    /// How many messages were ready in the queue at the beginning.
    pub ready: u64,
    /// How many of them were looked at.
    pub seen: u64,
    /// Why not all of them were, if not because enough were found.
    pub short: Option<Short>,
}

/// Why not every message was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Short {
    /// Somebody else reads the queue: a consumer, a single active one perhaps, or another look, has the rest.
    Others,
    /// As many as can be held at a time are held ([`WINDOW`]), and none of them is to be removed.
    Window,
    /// It was stopped.
    Stopped,
}

/// What to do with a dead letter that passes the filter.
pub(crate) enum Visit<'a> {
    /// It stays.
    Keep,
    /// The future tells what becomes of it.
    Act(BoxFuture<'a, Fate>),
    /// It stays as this tells, and no other is visited.
    End(Kept),
}

/// One way through a queue.
pub(crate) struct Walk<'a> {
    pub(crate) client: &'a Client,
    pub(crate) queue: &'a QueueName,
    pub(crate) filter: &'a Filter,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) progress: Option<&'a (dyn Fn(u64, u64) + Send + Sync)>,
    pub(crate) pace: Option<Pace>,
    /// How many are visited at most.
    pub(crate) limit: u64,
    /// Whether messages are to be removed, which a stream cannot do.
    pub(crate) removes: bool,
}

/// The state of a walk.
struct Way<'a> {
    subscriber: Subscriber,
    held: Vec<Unsettled>,
    running: FuturesUnordered<BoxFuture<'a, (Unsettled, Fate)>>,
    looked: Looked,
    removes: bool,
    removed: u64,
    /// When anything came last.
    heard: Instant,
}

/// What happens next.
#[expect(clippy::large_enum_variant, reason = "nearly all are deliveries, and none is kept")]
enum Next {
    Came(Option<garenne_transport::Delivery>),
    Ended(Unsettled, Fate),
    Silence,
    Stopped,
    Lost,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    /// Goes through what is ready in the queue now, and tells what became of each that was acted on.
    pub(crate) async fn run(
        mut self,
        mut visit: impl FnMut(DeadLetter) -> Visit<'a>,
        mut note: impl FnMut(Fate),
    ) -> Result<Looked, DeadLetterError> {
        if self.limit == 0 {
            return Ok(Looked::default());
        }
        let info = self.client.queue_info(self.queue).await.map_err(|error| self.failed(error))?;
        let ready = u64::from(info.ready);
        if ready == 0 {
            // What others hold is not to be seen.
            let short = (info.consumers > 0).then_some(Short::Others);
            return Ok(Looked { short, ..Looked::default() });
        }
        let prefetch = u16::try_from(ready).unwrap_or(WINDOW);
        let subscription = Subscription::new(self.queue.clone()).prefetch(prefetch);
        let subscriber = self.client.subscribe(subscription).await.map_err(|error| self.failed(error))?;
        let mut way = Way {
            subscriber,
            held: Vec::new(),
            running: FuturesUnordered::new(),
            looked: Looked { ready, ..Looked::default() },
            removes: self.removes,
            removed: 0,
            heard: self.client.clock().now(),
        };
        let walked = self.walk(&mut way, &mut visit, &mut note).await;
        // What was published is waited for: it is known then whether the original can go.
        while let Some((unsettled, fate)) = way.running.next().await {
            way.ended(unsettled, fate, &mut note);
        }
        let Way { subscriber, held, looked, removed, .. } = way;
        // Otherwise what is handed back would come again at once.
        subscriber.cancel().await;
        for unsettled in held {
            unsettled.settle(Settlement::Release);
        }
        let closed = subscriber.close(Duration::ZERO).await;
        walked?;
        closed.map_err(|error| match error.kind() {
            ErrorKind::ConnectionLost => DeadLetterError::interrupted(self.queue, removed),
            _ => self.failed(error).after(removed),
        })?;
        Ok(looked)
    }

    async fn walk(
        &mut self,
        way: &mut Way<'a>,
        visit: &mut impl FnMut(DeadLetter) -> Visit<'a>,
        note: &mut impl FnMut(Fate),
    ) -> Result<(), DeadLetterError> {
        let mut lost = None;
        while way.looked.seen < way.looked.ready {
            if way.held.len() >= usize::from(WINDOW) {
                way.looked.short = (self.limit > 0).then_some(Short::Window);
                return Ok(());
            }
            match self.next(way, lost.as_ref()).await {
                Next::Came(Some(delivery)) => {
                    way.heard = self.client.clock().now();
                    way.looked.seen += 1;
                    self.tell(&way.looked);
                    let is_stream = delivery.message.metadata.headers.int(STREAM_OFFSET).is_some();
                    if self.removes && is_stream {
                        return Err(DeadLetterError::stream(self.queue));
                    }
                    let unsettled = delivery.unsettled;
                    if self.limit == 0 {
                        // What a quorum queue without a delivery limit gets back goes to its end: only as a whole it keeps its order.
                        way.held.push(unsettled);
                        continue;
                    }
                    lost.get_or_insert_with(|| Arc::new(unsettled.liveness()));
                    let letter = DeadLetter::new(self.queue.clone(), delivery.message);
                    if !self.filter.passes(&letter) {
                        way.held.push(unsettled);
                        continue;
                    }
                    if !self.waits(way, note).await {
                        way.held.push(unsettled);
                        way.looked.short = Some(Short::Stopped);
                        return Ok(());
                    }
                    self.limit -= 1;
                    match visit(letter) {
                        Visit::Keep => way.held.push(unsettled),
                        Visit::Act(act) => way.running.push(act.map(|fate| (unsettled, fate)).boxed()),
                        Visit::End(kept) => {
                            self.limit = 0;
                            way.ended(unsettled, Fate::Kept(kept), note);
                        }
                    }
                }
                Next::Came(None) | Next::Stopped => {
                    way.looked.short = Some(Short::Stopped);
                    return Ok(());
                }
                Next::Ended(unsettled, fate) => way.ended(unsettled, fate, note),
                Next::Lost => return Err(DeadLetterError::interrupted(self.queue, way.removed)),
                Next::Silence => {
                    let limit = self.client.config().connection.rpc_timeout;
                    let silent = self.client.clock().now() - way.heard;
                    let ready = self.ask().await.map_err(|error| error.after(way.removed))?;
                    if ready == 0 || silent >= limit {
                        way.looked.short = Some(Short::Others);
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    async fn next(&self, way: &mut Way<'a>, lost: Option<&Arc<garenne_transport::Liveness>>) -> Next {
        let clock = self.client.clock();
        let lost = async {
            match lost {
                Some(liveness) => liveness.stale().await,
                None => std::future::pending().await,
            }
        };
        let mut lost = pin!(lost);
        let takes_more = way.running.len() < CONCURRENCY;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Next::Stopped,
            () = &mut lost => Next::Lost,
            Some((unsettled, fate)) = way.running.next() => Next::Ended(unsettled, fate),
            delivery = way.subscriber.next(), if takes_more => Next::Came(delivery),
            () = clock.sleep(SILENCE) => Next::Silence,
        }
    }

    /// Waits until the rate lets another message begin; `false` if it was stopped before.
    async fn waits(&self, way: &mut Way<'a>, note: &mut impl FnMut(Fate)) -> bool {
        let Some(pace) = &self.pace else { return true };
        let clock = self.client.clock();
        let mut permit = pin!(pace.permit(&clock));
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return false,
                Some((unsettled, fate)) = way.running.next() => way.ended(unsettled, fate, note),
                () = &mut permit => return true,
            }
        }
    }

    /// Asks how many messages are ready.
    async fn ask(&self) -> Result<u64, DeadLetterError> {
        let info = self.client.queue_info(self.queue).await.map_err(|error| self.failed(error))?;
        Ok(u64::from(info.ready))
    }

    fn failed(&self, error: garenne_transport::Error) -> DeadLetterError {
        DeadLetterError::broker(self.queue, error)
    }

    fn tell(&self, looked: &Looked) {
        if let Some(progress) = self.progress {
            progress(looked.seen, looked.ready);
        }
    }
}

// === impl Way ===

impl Way<'_> {
    fn ended(&mut self, unsettled: Unsettled, fate: Fate, note: &mut impl FnMut(Fate)) {
        match &fate {
            Fate::Removed | Fate::Parked(_) if self.removes => {
                self.removed += u64::from(unsettled.is_current());
                unsettled.settle(Settlement::Ack);
            }
            Fate::Removed | Fate::Parked(_) | Fate::Kept(_) => self.held.push(unsettled),
        }
        note(fate);
    }
}
