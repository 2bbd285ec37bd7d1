//! Where a stream ends. Nothing is taken out of a stream, so that it is never empty: `--until-empty` stops at the end that it had.

use std::time::Duration;

use garenne_program::chain;
use garenne_shared::{Incoming, QueueName};
use garenne_transport::{Client, ErrorKind, Settlement, Subscription};
use tokio::time::{Instant, timeout};

/// The consumer argument that says where to begin in a stream, and the header that says where a message stands.
pub(crate) const OFFSET: &str = "x-stream-offset";
/// After this long without a message, a stream from which none has come is taken for one that has none there.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// How many messages of the last chunk come at once.
const PREFETCH: u16 = 1000;
/// After this long without a further message the last chunk is over.
const PAUSE: Duration = Duration::from_millis(300);
/// A stream that is published to all the time is over after this long: a bit more than was there at the start.
const BUSY: Duration = Duration::from_secs(5);
/// How long a stream that has messages may take to send the first.
const FIRST: Duration = Duration::from_secs(30);
/// How long the broker may take to cancel.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What a queue is, as far as reading it to its end is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its messages are taken out.
    Queue,
    /// A stream, and the offset of its last message, if it has one.
    Stream { last: Option<u64> },
}

/// Finds out what a queue is, and where it ends if it is a stream, by reading the last chunk.
///
/// The broker's count of messages is no help: of a stream it is seconds old.
///
/// # Errors
///
/// Fails if the queue cannot be read.
pub(crate) async fn look(client: &Client, queue: &QueueName) -> Result<Kind, String> {
    let subscription = Subscription::new(queue.clone()).prefetch(PREFETCH).argument(OFFSET, "last");
    let mut subscriber = match client.subscribe(subscription).await {
        Ok(subscriber) => subscriber,
        // RabbitMQ refuses the argument for every other kind of queue.
        Err(error) if error.kind() == ErrorKind::Mismatch => return Ok(Kind::Queue),
        Err(error) => return Err(chain(&error)),
    };
    let started = Instant::now();
    let mut last = None;
    loop {
        let limit = if last.is_none() { SILENCE } else { PAUSE };
        let Ok(next) = timeout(limit, subscriber.next()).await else {
            if last.is_some() || count(client, queue).await? == 0 {
                break;
            }
            if started.elapsed() > FIRST {
                return Err(format!("stream `{queue}` has messages, but sent none for {FIRST:?}"));
            }
            continue;
        };
        let delivery = next.ok_or_else(|| format!("the subscription to stream `{queue}` has ended"))?;
        let Some(offset) = offset(&delivery.message) else {
            // A broker that does not know the argument.
            delivery.unsettled.settle(Settlement::Release);
            subscriber.close(CLOSE_LIMIT).await.map_err(|error| chain(&error))?;
            return Ok(Kind::Queue);
        };
        delivery.unsettled.settle(Settlement::Ack);
        last = last.max(Some(offset));
        if started.elapsed() > BUSY {
            break;
        }
    }
    subscriber.close(CLOSE_LIMIT).await.map_err(|error| chain(&error))?;
    Ok(Kind::Stream { last })
}

/// Returns where a message stands in its stream, or `None` if it comes from another kind of queue.
pub(crate) fn offset(message: &Incoming) -> Option<u64> {
    message.metadata.headers.int(OFFSET).and_then(|offset| u64::try_from(offset).ok())
}

/// Says that a stream is not read without being told where to begin.
pub(crate) fn refuse(queue: &QueueName) -> String {
    format!("queue `{queue}` is a stream, which is never empty; say where to begin, such as `--from first`")
}

async fn count(client: &Client, queue: &QueueName) -> Result<u64, String> {
    match client.queue_info(queue).await {
        Ok(info) => Ok(info.ready.into()),
        // Unknown for now: not nothing.
        Err(error) if error.is_transient() => Ok(1),
        Err(error) => Err(chain(&error)),
    }
}
