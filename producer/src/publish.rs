//! A publish about to happen, and its options.

use std::{
    future::{IntoFuture, poll_fn},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use garenne_shared::{DeliveryMode, ExchangeName, HeaderValue, Outgoing, RoutingKey, header};
use garenne_transport::PublishError;

use crate::{
    Enqueued, PublishNext, Publisher, Receipt, delivery::Delivery, draft::Draft, enqueued::Layered,
    stage::Stage,
};

/// A publish about to happen: set options, then await it.
///
/// Awaiting it gives the [`Receipt`] once the broker confirmed the message and routed it to a queue.
///
/// # Errors
///
/// The await fails with a [`PublishError`]: `Unroutable`, `NoExchange`, `Nacked` and `Unknown` after the retries of the publisher's policy,
/// and `Blocked`, `TooLarge`, `Encode` or `Closed` without anything sent.
///
/// # Cancel safety
///
/// A dropped await has sent nothing or the whole message; retries are given up.
#[must_use = "nothing is published until this is awaited"]
#[derive(Debug)]
pub struct Publish<'a> {
    publisher: &'a Publisher,
    draft: Result<Draft, PublishError>,
}

/// The way that a message goes.
enum Start {
    Straight(Delivery),
    Layered(Layered),
}

// === impl Publish ===

impl<'a> Publish<'a> {
    pub(crate) const fn new(publisher: &'a Publisher, draft: Result<Draft, PublishError>) -> Self {
        Self { publisher, draft }
    }

    /// Sets the message id. The default is a fresh UUID v7.
    pub fn message_id(self, id: impl Into<String>) -> Self {
        self.with(|draft| draft.outgoing.metadata.message_id = Some(id.into()))
    }

    /// Sets the correlation id.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        self.with(|draft| draft.outgoing.metadata.correlation_id = Some(id.into()))
    }

    /// Sets the message id of the message that caused this one ([`header::CAUSATION_ID`]).
    pub fn causation_id(self, id: impl Into<String>) -> Self {
        self.header(header::CAUSATION_ID, id.into())
    }

    /// Sets a header.
    pub fn header(self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        self.with(|draft| draft.outgoing.metadata.headers.insert(name, value))
    }

    /// Sets several headers.
    pub fn headers<K, V>(self, headers: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<HeaderValue>,
    {
        self.with(|draft| {
            for (name, value) in headers {
                draft.outgoing.metadata.headers.insert(name, value);
            }
        })
    }

    /// Lets the message expire after waiting this long in a queue, to the millisecond. The default is never.
    pub fn expires_in(self, time: Duration) -> Self {
        self.with(|draft| draft.outgoing.metadata.expiration = Some(time))
    }

    /// Sets the priority. Quorum queues know two (up to 4 is normal, above is high), classic queues as many as declared.
    pub fn priority(self, priority: u8) -> Self {
        self.with(|draft| draft.outgoing.metadata.priority = Some(priority))
    }

    /// Sets the routing key. The default is the message's own.
    pub fn routing_key(self, key: impl Into<RoutingKey>) -> Self {
        self.with(|draft| draft.outgoing.routing_key = key.into())
    }

    /// Sets the exchange. The default is the message's own.
    pub fn exchange(self, exchange: impl Into<ExchangeName>) -> Self {
        self.with(|draft| draft.outgoing.exchange = exchange.into())
    }

    /// Sets the queue that a reply is to be sent to.
    pub fn reply_to(self, queue: impl Into<String>) -> Self {
        self.with(|draft| draft.outgoing.metadata.reply_to = Some(queue.into()))
    }

    /// Lets the broker keep the message in memory only, where the queue allows that; a restart loses it. Quorum queues and
    /// streams always write to disk.
    pub fn transient(self) -> Self {
        self.with(|draft| draft.outgoing.metadata.delivery_mode = DeliveryMode::Transient)
    }

    /// Takes a message that no queue took for success; [`Receipt::routed`] tells. A missing exchange stays an error.
    pub fn allow_unroutable(self) -> Self {
        self.with(|draft| draft.allow_unroutable = true)
    }

    /// Sends the message and returns without waiting for its confirm: for pipelining by hand.
    ///
    /// It waits while the window is full. What could not be sent for want of a connection is tried again within the policy.
    /// The confirm, and the retry if it does not come, is the work of the returned [`Enqueued`].
    ///
    /// # Errors
    ///
    /// Fails if the message could not be sent: `Blocked`, `TooLarge`, `Encode`, `Closed`, or `NotSent` without a connection.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has sent nothing or the whole message.
    pub async fn enqueue(self) -> Result<Enqueued, PublishError> {
        match self.start()? {
            Start::Straight(mut delivery) => {
                let sent = delivery.send().await?;
                Ok(Enqueued::straight(delivery, sent))
            }
            Start::Layered(mut layered) => match poll_fn(|cx| layered.poll_sent(cx)).await {
                None => Ok(Enqueued::layered(layered)),
                Some(Ok(receipt)) => Ok(Enqueued::settled(Ok(receipt))),
                Some(Err(error)) if layered.stage.is_sent() => Ok(Enqueued::settled(Err(error))),
                Some(Err(error)) => Err(error),
            },
        }
    }

    /// Returns the message as it would be sent, without sending it: for an outbox, or to send it later.
    ///
    /// [`Publisher::publish_raw`] sends it. [`allow_unroutable`](Self::allow_unroutable) becomes its `mandatory`, which is `false` then.
    ///
    /// # Errors
    ///
    /// Fails if the message could not be encoded (`Encode`).
    pub fn into_outgoing(self) -> Result<Outgoing, PublishError> {
        let draft = self.draft?;
        let mandatory = !draft.allow_unroutable;
        let mut outgoing = draft.into_outgoing(&self.publisher.shared().app_id);
        outgoing.mandatory &= mandatory;
        Ok(outgoing)
    }

    /// Takes the message apart from the way it goes: through the layers of the publisher, or straight to the broker.
    fn start(self) -> Result<Start, PublishError> {
        let shared = Arc::clone(self.publisher.shared());
        let draft = self.draft?;
        if shared.layers.is_empty() {
            return Ok(Start::Straight(Delivery::new(shared, draft)));
        }
        let body_len = draft.outgoing.body.len();
        let allow_unroutable = draft.allow_unroutable;
        let message = draft.into_outgoing(&shared.app_id);
        let stage = Stage::default();
        let inner_stage = stage.clone();
        let running = Box::pin(async move {
            let next = PublishNext {
                layers: &shared.layers,
                shared: &shared,
                allow_unroutable,
                stage: &inner_stage,
            };
            next.run(message).await
        });
        Ok(Start::Layered(Layered { running, stage, body_len }))
    }

    /// Changes the message, if it could be encoded.
    fn with(mut self, change: impl FnOnce(&mut Draft)) -> Self {
        if let Ok(draft) = &mut self.draft {
            change(draft);
        }
        self
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Receipt, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.start()? {
                Start::Straight(delivery) => delivery.settle(None).await,
                Start::Layered(layered) => layered.running.await,
            }
        })
    }
}
