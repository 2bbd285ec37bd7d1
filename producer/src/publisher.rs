//! The handle that publishes typed messages.

use std::{future::IntoFuture, marker::PhantomData, pin::Pin, time::Duration};

use garenne_shared::{HeaderValue, Message, Outgoing, Retry};
use garenne_transport::{Client, PublishError};

/// Publishes typed messages and tells the truth about each. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Publisher {}

/// A publish about to happen: set options, then await it.
#[must_use = "nothing is published until this is awaited"]
#[derive(Debug)]
pub struct Publish<'a> {
    lifetime: PhantomData<&'a ()>,
}

/// Proof that the broker confirmed a message and routed it to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The id the message was published with.
    pub message_id: String,
    /// How many times it was sent; above 1 the broker may hold duplicates with the same id.
    pub attempts: u32,
    /// The time from the first sending to the confirm.
    pub latency: Duration,
}

/// A publish that was sent; await it for its receipt.
#[must_use = "a publish is only done when its receipt is awaited"]
#[derive(Debug)]
pub struct Enqueued {}

// === impl Publisher ===

impl Publisher {
    /// Makes a publisher.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let _ = client;
        todo!()
    }

    /// Retries `Nacked` and `Unknown` by this policy within this deadline, with the same message id.
    #[must_use]
    pub fn retry(self, policy: Retry, deadline: Duration) -> Self {
        let _ = (policy, deadline);
        todo!()
    }

    /// Publishes a message to its exchange with its key; await the result.
    pub fn publish<M: Message>(&self, message: &M) -> Publish<'_> {
        let _ = message;
        todo!()
    }

    /// Publishes an encoded message as it is; await the result.
    pub fn publish_raw(&self, message: Outgoing) -> Publish<'_> {
        let _ = message;
        todo!()
    }
}

// === impl Publish ===

impl<'a> Publish<'a> {
    /// Sets the message id. The default is a fresh UUID v7.
    pub fn message_id(self, id: impl Into<String>) -> Self {
        let _ = id.into();
        todo!()
    }

    /// Sets the correlation id.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        let _ = id.into();
        todo!()
    }

    /// Sets a header.
    pub fn header(self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        let _ = (name.into(), value.into());
        todo!()
    }

    /// Sends the message and returns without waiting for its confirm.
    ///
    /// # Errors
    ///
    /// Fails if the message could not be sent.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has either sent nothing or the whole message.
    pub async fn enqueue(self) -> Result<Enqueued, PublishError> {
        todo!()
    }
}

impl<'a> IntoFuture for Publish<'a> {
    type Output = Result<Receipt, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        todo!()
    }
}
