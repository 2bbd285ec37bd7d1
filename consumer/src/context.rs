//! What a handler knows of the delivery, and what it can do beside handling it.

use std::{
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::SystemTime,
};

use garenne_producer::{Publish, PublishError, Publisher};
use garenne_shared::{Incoming, Message, Metadata, Outgoing, QueueName, header};
use garenne_transport::{Client, Liveness};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Extensions, Failure, Outcome,
    facts::QueueFacts,
    tally::{Count, Tally},
    waited::Waited,
    watch::Pulse,
};

/// What a handler knows of the delivery, and what it can do beside handling it. Cheap to clone.
///
/// It has no way to acknowledge: what the handler returns decides that.
#[derive(Debug, Clone)]
pub struct Context {
    delivery: Arc<Delivery>,
    /// What a layer made of the message.
    replaced: Option<Arc<Incoming>>,
}

#[derive(Debug)]
struct Delivery {
    incoming: Incoming,
    environment: Arc<Environment>,
    liveness: Liveness,
    count: Count,
    /// What is known of a message that comes from a retry tier.
    waited: Option<Waited>,
    pulse: Pulse,
    /// Which run of the handler this is, from 1.
    run: AtomicU32,
    extensions: Extensions,
    /// What is published once the handler has succeeded. Held for a push and never across an await.
    deferred: Mutex<Vec<Result<Outgoing, PublishError>>>,
}

/// What all deliveries of one consumer share.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) queue: QueueName,
    pub(crate) service: String,
    /// The name of this machine.
    pub(crate) host: String,
    /// What handlers publish with.
    pub(crate) publisher: Publisher,
    /// What publishes dead-letter copies: without layers, for a copy keeps its body as it came; without retries, for each is told.
    pub(crate) copies: Publisher,
    pub(crate) stopping: CancellationToken,
    pub(crate) client: Client,
    pub(crate) facts: QueueFacts,
    pub(crate) tally: Arc<Tally>,
}

// === impl Context ===

impl Context {
    pub(crate) fn new(mut incoming: Incoming, environment: Arc<Environment>, liveness: Liveness) -> Self {
        let waited = Waited::take(&mut incoming, &environment.queue);
        if incoming.redelivered {
            environment.tally.writes_acquired(environment.client.capabilities().uncounted_nack);
        }
        let count = environment.tally.count(&incoming);
        let delivery = Delivery {
            incoming,
            environment,
            liveness,
            count,
            waited,
            pulse: Pulse::default(),
            run: AtomicU32::new(1),
            extensions: Extensions::default(),
            deferred: Mutex::default(),
        };
        Self { delivery: Arc::new(delivery), replaced: None }
    }

    /// Returns a context of the same delivery with another message: for a layer that decrypts or decompresses.
    ///
    /// What is inside of the layer sees it. A dead letter is a copy of what came, not of this.
    #[must_use]
    pub fn with_incoming(&self, incoming: Incoming) -> Self {
        Self { delivery: Arc::clone(&self.delivery), replaced: Some(Arc::new(incoming)) }
    }

    /// Returns the values that layers handed to what is inside of them.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.delivery.extensions
    }

    /// Returns whether the broker still counts on this delivery.
    ///
    /// It does not once the connection is lost or the consumer timeout has passed: the message is on its way to another consumer, and
    /// what this one does may be done twice.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.delivery.liveness.is_current()
    }

    /// Waits until the broker no longer counts on this delivery; for ever if that never happens.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stale(&self) {
        self.delivery.liveness.stale().await;
    }

    /// Returns which attempt this is, counted from 1.
    ///
    /// Quorum queues count, and so does a message that waits in a retry tier, in a header; a classic queue only says that it delivered the message before, which makes this 2. A count that the queue
    /// did not write, but a publisher, is not one. An attempt whose handler outlived its delivery counts, too, as long as this service
    /// runs.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let before = self.delivery.waited.as_ref().map_or(0, |waited| waited.attempts);
        before.saturating_add(self.delivery.count.failures).saturating_add(1)
    }

    /// Returns which run of the handler within this attempt it is, counted from 1: above that for
    /// [immediate retries](crate::Consumer::immediate_retries).
    #[must_use]
    pub fn run(&self) -> u32 {
        self.delivery.run.load(Relaxed)
    }

    pub(crate) fn next_run(&self) {
        self.delivery.run.fetch_add(1, Relaxed);
    }

    /// Returns when the first attempt failed, if the message has waited in a retry tier since.
    #[must_use]
    pub fn first_failed_at(&self) -> Option<SystemTime> {
        self.delivery.waited.as_ref()?.first_failed_at
    }

    /// Returns the error of the last attempt, if the message has waited in a retry tier since.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.delivery.waited.as_ref().map(|waited| waited.report.message.as_str())
    }

    pub(crate) fn waited(&self) -> Option<&Waited> {
        self.delivery.waited.as_ref()
    }

    pub(crate) fn count(&self) -> Count {
        self.delivery.count
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.delivery.pulse
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.delivery.environment
    }

    /// Returns `true` if the broker delivered the message before, to whomever.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.incoming().redelivered
    }

    /// Returns the queue it came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.environment().queue
    }

    /// Returns the name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.environment().service
    }

    /// Returns the exchange it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        &self.incoming().exchange
    }

    /// Returns its routing key.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        &self.incoming().routing_key
    }

    /// Returns its properties and headers.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.incoming().metadata
    }

    /// Returns its message id, if the publisher gave one.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.metadata().message_id.as_deref()
    }

    /// Returns the whole delivery, with its encoded body.
    #[must_use]
    pub fn incoming(&self) -> &Incoming {
        self.replaced.as_deref().unwrap_or(&self.delivery.incoming)
    }

    /// Returns the publisher of the service.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.environment().publisher
    }

    /// Publishes a message that this one caused: it carries on the correlation id (or this message's id), names this message
    /// as its cause, and keeps the trace context.
    ///
    /// # Errors
    ///
    /// Awaiting it fails as that of [`Publisher::publish`].
    pub fn publish<M: Message + Serialize>(&self, message: &M) -> Publish<'_> {
        let mut publish = self.publisher().publish(message);
        let metadata = self.metadata();
        if let Some(correlation) = metadata.correlation_id.as_ref().or(metadata.message_id.as_ref()) {
            publish = publish.correlation_id(correlation);
        }
        if let Some(cause) = &metadata.message_id {
            publish = publish.causation_id(cause);
        }
        for name in [header::TRACEPARENT, header::TRACESTATE] {
            if let Some(value) = metadata.headers.text(name) {
                publish = publish.header(name, value);
            }
        }
        publish
    }

    /// Publishes a message that this one caused once the handler has succeeded, and before this message is acknowledged; if the handler
    /// fails, not at all.
    ///
    /// It carries what [`publish`](Self::publish) gives it. Each is confirmed, in order; if one is not, this message counts as failed and is
    /// handled again, so that a message may be published twice, but never lost. One that cannot be encoded fails this message for good.
    pub fn defer<M: Message + Serialize>(&self, message: &M) {
        self.defer_publish(self.publish(message));
    }

    /// Publishes, as [`defer`](Self::defer) does, a message with options of its own, such as headers.
    pub fn defer_publish(&self, publish: Publish<'_>) {
        let message = publish.into_outgoing();
        self.deferred().push(message);
    }

    /// Adds what was deferred to a success, and forgets it otherwise: an attempt within the process starts anew.
    pub(crate) fn take_deferred(&self, outcome: Outcome) -> Outcome {
        let deferred = mem::take(&mut *self.deferred());
        if deferred.is_empty() || !outcome.is_done() {
            return outcome;
        }
        deferred
            .into_iter()
            .try_fold(outcome, |outcome, message| Ok(outcome.publish(message?)))
            .unwrap_or_else(|error: PublishError| Outcome::failed(&Failure::dead_letter(error)))
    }

    fn deferred(&self) -> std::sync::MutexGuard<'_, Vec<Result<Outgoing, PublishError>>> {
        self.delivery.deferred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the service is asked to stop; for handlers that can end early with [`Failure::retry`](crate::Failure::retry).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stopping(&self) {
        self.environment().stopping.cancelled().await;
    }
}
