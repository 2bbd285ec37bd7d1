//! The handle that publishes typed messages.

use std::{sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use garenne_shared::{Codecs, Message, Outgoing, Retry};
use garenne_transport::{Client, Clock, ConfirmChannel, PublishError};
use serde::Serialize;

use crate::{
    Publish, PublishLayer, Receipt,
    draft::Draft,
    publish_all::{self, Limits},
};

/// How long `Nacked`, `Unknown` and `NotSent` publishes are retried by default. It is longer than the default confirm timeout, so that a
/// confirm that never came leaves time for another attempt.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

/// Publishes typed messages and tells the truth about each. Cheap to clone; it keeps the client's connections open.
///
/// A message that the broker refused (`Nacked`) or whose confirm never came (`Unknown`) is sent again with the same message
/// id: by default after 100 ms, doubling up to 5 s, with jitter, until 60 s have passed since the first attempt. The delay
/// counts from the sending of the attempt that failed.
#[derive(Debug, Clone)]
pub struct Publisher {
    shared: Arc<Shared>,
}

/// What all publishes of a publisher share.
#[derive(Clone)]
pub(crate) struct Shared {
    /// The last handle closes the connections: a publisher is one.
    _client: Client,
    pub(crate) channel: ConfirmChannel,
    pub(crate) clock: Clock,
    pub(crate) app_id: String,
    pub(crate) retry: Retry,
    pub(crate) deadline: Duration,
    pub(crate) layers: Vec<Arc<dyn PublishLayer>>,
    codecs: Codecs,
    limits: Limits,
}

// === impl Publisher ===

impl Publisher {
    /// Makes a publisher. It encodes with the client's codecs and shares the client's window with its other publishers.
    #[must_use]
    pub fn new(client: &Client) -> Self {
        let config = client.config();
        let shared = Shared {
            channel: client.confirm_channel(),
            clock: client.clock(),
            _client: client.clone(),
            app_id: config.service.clone(),
            retry: Retry::exponential(Duration::from_millis(100)..=Duration::from_secs(5)).jitter(true),
            deadline: DEFAULT_DEADLINE,
            layers: Vec::new(),
            codecs: client.codecs().clone(),
            limits: Limits::new(&config.publish),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Retries `Nacked`, `Unknown` and `NotSent` by this policy, with the same message id.
    ///
    /// No attempt begins later than `deadline` after the first; one that runs then still has its `confirm_timeout`.
    /// [`Retry::never`] switches retrying off.
    #[must_use]
    pub fn retry(mut self, policy: Retry, deadline: Duration) -> Self {
        let shared = Arc::make_mut(&mut self.shared);
        shared.retry = policy;
        shared.deadline = deadline;
        self
    }

    /// Adds a layer around the publishing of every message, inside those added before. Other handles of this publisher keep theirs.
    #[must_use]
    pub fn layer(mut self, layer: impl PublishLayer) -> Self {
        Arc::make_mut(&mut self.shared).layers.push(Arc::new(layer));
        self
    }

    /// Publishes a message to its exchange with its key; set options, then await the result.
    ///
    /// It is encoded here, once; an error of that is the result of the await.
    pub fn publish<M: Message + Serialize>(&self, message: &M) -> Publish<'_> {
        Publish::new(self, Draft::typed(message, &self.shared.codecs))
    }

    /// Publishes an encoded message as it is; only a missing message id is made. Await the result.
    pub fn publish_raw(&self, message: Outgoing) -> Publish<'_> {
        Publish::new(self, Ok(Draft::raw(message)))
    }

    /// Publishes all messages of a stream and yields the outcome of each, **in the order of the input**.
    ///
    /// It keeps the window full: up to [`window`](garenne_shared::config::PublishConfig::window) messages and
    /// [`window_bytes`](garenne_shared::config::PublishConfig::window_bytes) bytes are sent ahead of the outcome yielded
    /// last, and no more than that is held in memory. Nothing happens unless the returned stream is polled.
    /// An error of one message does not stop the rest.
    ///
    /// # Cancel safety
    ///
    /// Waiting for the next outcome may be cancelled and loses nothing. Dropping the stream gives up retries; messages that
    /// were sent stay sent.
    pub fn publish_all<M, S>(
        &self,
        messages: S,
    ) -> impl Stream<Item = Result<Receipt, PublishError>> + use<'_, M, S>
    where
        M: Message + Serialize,
        S: Stream<Item = M>,
    {
        let publishes = messages.map(|message| ((), self.publish(&message)));
        self.publish_each(publishes).map(|((), outcome)| outcome)
    }

    /// Publishes a stream of publishes, each with its own options and a tag of yours, and yields each tag with its outcome,
    /// in the order of the input and otherwise as [`publish_all`](Self::publish_all).
    ///
    /// # Cancel safety
    ///
    /// As [`publish_all`](Self::publish_all).
    pub fn publish_each<'a, T, S>(
        &self,
        publishes: S,
    ) -> impl Stream<Item = (T, Result<Receipt, PublishError>)> + use<'a, T, S>
    where
        S: Stream<Item = (T, Publish<'a>)>,
    {
        publish_all::outcomes(publishes, self.shared.limits)
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("app_id", &self.app_id)
            .field("retry", &self.retry)
            .field("deadline", &self.deadline)
            .field("layers", &self.layers.len())
            .finish_non_exhaustive()
    }
}
