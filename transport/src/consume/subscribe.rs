//! Opening a channel and a consumer on it, and closing both; every step has a deadline.

use std::{future::Future, time::Duration};

use lapin::{
    Channel, Consumer,
    options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable, ShortString},
};

use super::{STREAM_OFFSET, Subscription};
use crate::{Error, ErrorKind, convert, fault::fault, link::Link};

/// Opens channels and consumers for one subscription.
#[derive(Debug)]
pub(super) struct Opener {
    queue: ShortString,
    prefetch: u16,
    options: BasicConsumeOptions,
    arguments: FieldTable,
    /// The limit for each request.
    limit: Duration,
}

/// A consumer that the broker confirmed.
pub(super) struct Live {
    pub(super) channel: Channel,
    pub(super) consumer: Consumer,
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
            options: BasicConsumeOptions { exclusive: subscription.exclusive, ..Default::default() },
            arguments: convert::table(&subscription.arguments).map_err(config)?,
            limit,
        })
    }

    /// Subscribes on a fresh channel, from this offset if it is a stream that was read before. Dropping the future, or an error, leaves no channel behind: lapin closes it.
    pub(super) async fn open(&self, link: &Link, resume_offset: Option<u64>) -> Result<Live, Error> {
        let opened = link.open_channel().await?;
        let channel = opened.channel;
        let what = format!("subscribing to queue `{}`", self.queue);
        self.within(&what, channel.basic_qos(self.prefetch, BasicQosOptions { global: false })).await?;
        let mut arguments = self.arguments.clone();
        if let Some(offset) = resume_offset {
            arguments.insert(ShortString::from(STREAM_OFFSET), AMQPValue::LongLongInt(offset.cast_signed()));
        }
        // The empty tag lets the broker choose one: a name of our own could be taken after a reconnect.
        let consume =
            channel.basic_consume(self.queue.clone(), ShortString::default(), self.options, arguments);
        let consumer = self.within(&what, consume).await?;
        Ok(Live { channel, consumer, epoch: opened.epoch })
    }

    /// Asks the broker for no more deliveries; once it has answered, all of them are here.
    pub(super) async fn cancel(&self, channel: &Channel, tag: ShortString) -> Result<(), Error> {
        let what = format!("cancelling the consumer of queue `{}`", self.queue);
        self.within(&what, channel.basic_cancel(tag, BasicCancelOptions { nowait: false })).await
    }

    /// Returns once the broker has read everything that was sent on the channel.
    ///
    /// Acknowledgements have no reply, so a request that has one is sent behind them
    /// (<https://www.rabbitmq.com/docs/channels#lifecycle>).
    pub(super) async fn round_trip(&self, channel: &Channel) -> Result<(), Error> {
        let what = format!("confirming the last acknowledgements of queue `{}`", self.queue);
        self.within(&what, channel.basic_qos(self.prefetch, BasicQosOptions { global: false })).await
    }

    /// Closes the channel, so that the broker takes back what is not settled.
    pub(super) async fn close(&self, channel: &Channel) {
        if channel.status().connected() {
            let closing = channel.close(200, ShortString::from("unsubscribed"));
            if let Err(error) = self.within("closing the channel", closing).await {
                tracing::debug!(queue = %self.queue, %error, "channel was not closed in good order");
            }
        }
    }

    async fn within<T>(
        &self,
        what: &str,
        request: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.limit, request).await {
            Ok(answer) => answer.map_err(|error| fault(&error, what)),
            Err(_) => Err(Error::new(
                ErrorKind::TimedOut,
                format!(
                    "the broker must answer within `connection.rpc_timeout`, {:?}, but did not while {what}",
                    self.limit
                ),
            )),
        }
    }
}
