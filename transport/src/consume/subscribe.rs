//! Opening a channel and a consumer on it, and closing both; every step has a deadline.

use std::{sync::Arc, time::Duration};

use amq_protocol::{
    protocol::{AMQPClass, basic, queue as queues},
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{
    STREAM_OFFSET, Subscription,
    intake::{Feed, Intake},
};
use crate::{
    Error, ErrorKind, convert,
    declare::find_queue,
    fault,
    link::Link,
    wire::{Channel, Sink},
};

/// The priority of a consumer that only asks for a sign of life: below every other.
const PROBE_PRIORITY: i32 = -1000;

/// How often a queue is looked at, and when, until it has back what was handed back: for a second; a tenth of that beside other consumers.
const LOOKS: u32 = 50;
const LOOKS_BESIDE_OTHERS: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Opens channels and consumers for one subscription.
#[derive(Debug)]
pub(super) struct Opener {
    queue: ShortString,
    prefetch: u16,
    exclusive: bool,
    arguments: FieldTable,
    /// The limit for each request.
    limit: Duration,
}

/// A consumer that the broker confirmed.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) channel: Channel,
    pub(super) tag: ShortString,
    pub(super) epoch: u64,
}

// === impl Opener ===

impl Opener {
    /// Checks what can be checked without the broker.
    pub(super) fn new(subscription: &Subscription, limit: Duration) -> Result<Self, Error> {
        let queue = &subscription.queue;
        if subscription.prefetch == 0 {
            return Err(Error::new(
                ErrorKind::Config,
                format!(
                    "a prefetch is 1 to 65535, but the subscription to queue `{queue}` has 0, which is unlimited \
                     and would load the whole queue into memory; 100 to 300 is a good choice"
                ),
            ));
        }
        let config = |error| {
            Error::new(
                ErrorKind::Config,
                format!("the subscription to queue `{queue}` cannot be put into AMQP: {error}"),
            )
        };
        Ok(Self {
            queue: convert::short(queue.as_str()).map_err(config)?,
            prefetch: subscription.prefetch,
            exclusive: subscription.exclusive,
            arguments: convert::table(&subscription.arguments).map_err(config)?,
            limit,
        })
    }

    /// Subscribes on a fresh channel, from this offset if it is a stream that was read before.
    ///
    /// Dropping the future, or an error, leaves no channel behind: the channel is closed behind every request that was sent on it, and
    /// the broker handles them in order.
    pub(super) async fn open(
        &self,
        link: &Link,
        intake: &Arc<Intake>,
        resume_offset: Option<u64>,
    ) -> Result<Live, Error> {
        let feed = Arc::new(intake.begin());
        let sink: Arc<dyn Sink> = Arc::<Feed>::clone(&feed);
        let what = format!("subscribing to queue `{}`", self.queue);
        let opened = link.open_channel(Some(sink)).await;
        let opened = opened.map_err(|error| Error::new(error.kind(), format!("{what}: {error}")))?;
        let channel = opened.channel;
        intake.attach(&feed, &channel);
        self.qos(&channel, &what).await?;
        let mut arguments = self.arguments.clone();
        if let Some(offset) = resume_offset {
            arguments.insert(ShortString::from(STREAM_OFFSET), AMQPValue::LongLongInt(offset.cast_signed()));
        }
        let consume = basic::AMQPMethod::Consume(basic::Consume {
            queue: self.queue.clone(),
            // The empty tag lets the broker choose one: a name of our own could be taken after a reconnect.
            consumer_tag: ShortString::default(),
            no_local: false,
            no_ack: false,
            exclusive: self.exclusive,
            nowait: false,
            arguments,
        });
        match self.call(&channel, consume, &what).await? {
            AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(basic::ConsumeOk { consumer_tag })) => {
                Ok(Live { channel, tag: consumer_tag, epoch: opened.epoch })
            }
            other => Err(fault::unexpected(&other, &what)),
        }
    }

    /// Asks the broker for no more deliveries; once it has answered, all of them are here.
    pub(super) async fn cancel(&self, live: &Live) -> Result<(), Error> {
        let what = format!("cancelling the consumer of queue `{}`", self.queue);
        let cancel = basic::Cancel { consumer_tag: live.tag.clone(), nowait: false };
        self.call(&live.channel, basic::AMQPMethod::Cancel(cancel), &what).await.map(|_| ())
    }

    /// Returns once the broker has read everything that was sent on the channel.
    ///
    /// Acknowledgements have no reply, so a request that has one is sent behind them
    /// (<https://www.rabbitmq.com/docs/channels#lifecycle>).
    pub(super) async fn round_trip(&self, channel: &Channel) -> Result<(), Error> {
        let what = format!("confirming the last acknowledgements of queue `{}`", self.queue);
        self.qos(channel, &what).await
    }

    /// Waits until the queue has back what was handed back, as far as that can be seen, and not long.
    ///
    /// A quorum queue counts what a closed channel leaves behind as failed, and what is handed back it does not count. On RabbitMQ the close
    /// can overtake what was settled just before: a channel keeps what follows on 32 settlements that the queue has not taken yet, and forgets it
    /// when it closes (seen on 4.3.6). So the queue is asked twice at least, and until it shows what was handed back. Where other
    /// consumers take the messages at once, they are not seen in the queue.
    pub(super) async fn wait_for_queue(&self, channel: &Channel, released: u32) {
        let what = format!("waiting for what was handed back to queue `{}`", self.queue);
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            match channel.call(find_queue(self.queue.clone()), self.limit, &what).await {
                Ok(AMQPClass::Queue(queues::AMQPMethod::DeclareOk(found))) => {
                    let others = found.consumer_count > 0 && look >= LOOKS_BESIDE_OTHERS;
                    if look > 0 && (found.message_count >= released || others) {
                        return;
                    }
                }
                Ok(_) => return,
                Err(error) => {
                    tracing::debug!(queue = %self.queue, %error, "the queue was not asked before the channel closes");
                    return;
                }
            }
        }
    }

    /// Closes the channel, so that the broker takes back what is not settled.
    pub(super) async fn close(&self, channel: &Channel) {
        channel.close(self.limit).await;
    }

    /// Asks the queue for a sign of life, on a channel of its own: a consumer that gets nothing while the real one has room.
    ///
    /// A node that cannot reach the leader of a queue answers everything else, a passive declare too; only what must reach the leader
    /// tells (measured on RabbitMQ 4.3.6). Any answer is a sign of life, a refusal too. What the probe is given it hands back.
    pub(super) async fn probe(&self, link: &Link, limit: Duration) -> Result<(), Error> {
        let what = format!("asking for a sign of life of queue `{}`", self.queue);
        let opened = match link.open_channel(None).await {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::TimedOut => return Err(error),
            // Without a channel nothing is known of the queue.
            Err(_) => return Ok(()),
        };
        let mut arguments = self.arguments.clone();
        arguments.insert("x-priority".into(), AMQPValue::LongInt(PROBE_PRIORITY));
        let consume = basic::AMQPMethod::Consume(basic::Consume {
            queue: self.queue.clone(),
            consumer_tag: ShortString::default(),
            no_local: false,
            no_ack: false,
            exclusive: false,
            nowait: false,
            arguments,
        });
        let qos = basic::AMQPMethod::Qos(basic::Qos { prefetch_count: 1, global: false });
        for request in [qos, consume] {
            match opened.channel.call(AMQPClass::Basic(request), limit, &what).await {
                Err(error) if error.kind() == ErrorKind::TimedOut => return Err(error),
                Err(_) => return Ok(()),
                Ok(_) => {}
            }
        }
        opened.channel.close(limit).await;
        Ok(())
    }

    async fn qos(&self, channel: &Channel, what: &str) -> Result<(), Error> {
        let qos = basic::Qos { prefetch_count: self.prefetch, global: false };
        self.call(channel, basic::AMQPMethod::Qos(qos), what).await.map(|_| ())
    }

    async fn call(
        &self,
        channel: &Channel,
        method: basic::AMQPMethod,
        what: &str,
    ) -> Result<AMQPClass, Error> {
        channel.call(AMQPClass::Basic(method), self.limit, what).await
    }
}
