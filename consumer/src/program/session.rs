//! Reading the queue: takes what is ready, writes it, acknowledges it.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use garenne_program::chain;
use garenne_shared::QueueName;
use garenne_transport::{Client, Delivery, Error, ErrorKind, Settlement, Subscriber, Subscription};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    begin::Begin,
    output::Output,
    record, say,
    stream::{self, Kind},
    summary::Summary,
};

/// The most messages that are flushed together.
const BATCH: usize = 1000;
/// No more messages join a batch of this many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// After this long without a delivery the broker is asked whether the queue is empty.
const IDLE: Duration = Duration::from_millis(100);
/// How long the broker may take to read the last acknowledgements.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What to read, where to, and how far it is.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) client: &'a Client,
    pub(crate) queue: &'a QueueName,
    pub(crate) prefetch: u16,
    /// How many messages may still be taken.
    pub(crate) left: u64,
    pub(crate) until_empty: bool,
    /// Where to begin, if it is a stream.
    pub(crate) from: Option<Begin>,
    /// Whether it is known not to be a stream.
    pub(crate) is_queue: bool,
    pub(crate) output: Output,
    pub(crate) summary: &'a Cell<Summary>,
    /// Cancelled when nothing more shall be taken.
    pub(crate) stop: &'a CancellationToken,
}

/// Why nothing more is taken from a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As many as wanted were taken, or a signal came.
    Done,
    /// The queue seemed empty, so the subscription was cancelled; everything that came from it is written.
    SeemsEmpty,
}

// === impl Session ===

impl Session<'_> {
    /// Reads as [`run`](Self::run) does; of a stream, until the end that it has now.
    ///
    /// # Cancel safety
    ///
    /// As [`run`](Self::run).
    pub(crate) async fn run_from(&mut self) -> Result<(), String> {
        let (true, Some(from)) = (self.until_empty, self.from) else { return self.run(None).await };
        let Some(kind) = self.stop.run_until_cancelled(stream::look(self.client, self.queue)).await else {
            return Ok(());
        };
        match (kind?, from) {
            (Kind::Queue, _) => Err(self.no_stream()),
            (Kind::Stream { last: None }, _) => Ok(()),
            (Kind::Stream { last: Some(last) }, Begin::Offset(offset)) if offset > last => Ok(()),
            (Kind::Stream { last }, _) => self.run(last).await,
        }
    }

    /// Reads until as many as wanted are written, the queue is empty if that matters, the message at offset `last` of a stream is
    /// written, or it is told to stop; everything written is acknowledged then.
    ///
    /// # Cancel safety
    ///
    /// When dropped, a batch that was being written may be there in part; it is not acknowledged.
    async fn run(&mut self, last: Option<u64>) -> Result<(), String> {
        loop {
            let mut subscriber = tokio::select! {
                () = self.stop.cancelled() => return Ok(()),
                subscriber = self.client.subscribe(self.subscription()) => subscriber.map_err(|error| self.why(&error))?,
            };
            let end = self.take(&mut subscriber, last).await?;
            let closed = subscriber.close(CLOSE_LIMIT).await.map_err(|error| chain(&error));
            match (end, closed) {
                (End::Done, closed) => return closed,
                // What the broker had sent us counted as neither ready nor taken when it was asked: only now, with all of
                // that acknowledged, its answer is the truth.
                (End::SeemsEmpty, Ok(())) if self.is_empty().await? => return Ok(()),
                (End::SeemsEmpty, Ok(())) => {}
                (End::SeemsEmpty, Err(message)) => say(&message),
            }
        }
    }

    fn subscription(&self) -> Subscription {
        // Never more than may be taken at all.
        let prefetch = u16::try_from(self.left).unwrap_or(u16::MAX).min(self.prefetch);
        let subscription = Subscription::new(self.queue.clone()).prefetch(prefetch);
        match self.from {
            Some(from) => subscription.argument(stream::OFFSET, from.argument()),
            None => subscription,
        }
    }

    fn why(&self, error: &Error) -> String {
        match error.kind() {
            // RabbitMQ refuses the argument that says where to begin.
            ErrorKind::Mismatch if self.from.is_some() => self.no_stream(),
            _ => chain(error),
        }
    }

    fn no_stream(&self) -> String {
        format!("queue `{}` is not a stream; leave out `--from`", self.queue)
    }

    async fn take(&mut self, subscriber: &mut Subscriber, last: Option<u64>) -> Result<End, String> {
        let (started, mut taken, mut cancelled) = (Instant::now(), false, false);
        loop {
            let first = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(End::Done),
                first = subscriber.next() => first,
                () = sleep(IDLE), if self.until_empty && !cancelled => {
                    if last.is_some() {
                        // A time may lie behind the end.
                        let behind = matches!(self.from, Some(Begin::Time(_))) && !taken;
                        if behind && started.elapsed() > stream::SILENCE {
                            return Ok(End::Done);
                        }
                        continue;
                    }
                    self.check_kind().await?;
                    if self.is_empty().await? {
                        subscriber.cancel().await;
                        cancelled = true;
                    }
                    continue;
                }
            };
            match first {
                Some(first) => {
                    taken = true;
                    self.write(first, subscriber, last).await?;
                }
                None if cancelled => return Ok(End::SeemsEmpty),
                None => return Err(format!("the subscription to queue `{}` has ended", self.queue)),
            }
            if self.left == 0 {
                return Ok(End::Done);
            }
        }
    }

    /// Writes this message and those that are ready behind it, flushes, and acknowledges them. If writing fails, all of
    /// them are handed back.
    async fn write(
        &mut self,
        first: Delivery,
        subscriber: &mut Subscriber,
        last: Option<u64>,
    ) -> Result<(), String> {
        let mut lines = Vec::new();
        let mut taken = Vec::new();
        let mut redelivered = 0;
        let mut next = Some(first);
        while let Some(Delivery { message, unsettled }) = next {
            let offset = stream::offset(&message);
            if self.until_empty && self.from.is_none() && offset.is_some() {
                return Err(stream::refuse(self.queue));
            }
            self.left -= 1;
            self.is_queue = offset.is_none();
            if last.is_some() && offset >= last {
                self.left = 0;
            }
            redelivered += u64::from(message.redelivered);
            taken.push(unsettled);
            record::append(&mut lines, &message)
                .map_err(|error| format!("cannot write a record: {error}"))?;
            let full = self.left == 0 || taken.len() >= BATCH || lines.len() >= BATCH_BYTES;
            next = if full { None } else { subscriber.next().now_or_never().flatten() };
        }
        let count = taken.len() as u64;
        self.count(|summary| summary.read += count);
        if self.left == 0 {
            // Before the acknowledgements make room for more.
            subscriber.cancel().await;
        }
        self.output.write(&lines).await?;
        for unsettled in taken {
            unsettled.settle(Settlement::Ack);
        }
        self.count(|summary| {
            summary.written += count;
            summary.redelivered += redelivered;
        });
        Ok(())
    }

    /// Makes sure, once, that what gives nothing is not a stream; of a message that was taken it is known.
    async fn check_kind(&mut self) -> Result<(), String> {
        if !self.is_queue && stream::look(self.client, self.queue).await? != Kind::Queue {
            return Err(stream::refuse(self.queue));
        }
        self.is_queue = true;
        Ok(())
    }

    fn count(&self, change: impl FnOnce(&mut Summary)) {
        let mut summary = self.summary.get();
        change(&mut summary);
        self.summary.set(summary);
    }

    /// Asks the broker whether nothing is ready. While it cannot be asked, that is not known.
    async fn is_empty(&self) -> Result<bool, String> {
        match self.client.queue_info(self.queue).await {
            Ok(info) => Ok(info.ready == 0),
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, "the broker could not be asked whether the queue is empty");
                Ok(false)
            }
            Err(error) => Err(chain(&error)),
        }
    }
}
