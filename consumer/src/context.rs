//! What a handler knows of the delivery, and what it can do beside handling it.

use std::sync::Arc;

use garenne_producer::{Publish, Publisher};
use garenne_shared::{Incoming, Message, Metadata, QueueName, header};
use garenne_transport::Client;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    facts::QueueFacts,
    tally::{Count, Tally},
    watch::Pulse,
};

/// What a handler knows of the delivery, and what it can do beside handling it. Cheap to clone.
///
/// It has no way to acknowledge: what the handler returns decides that.
#[derive(Debug, Clone)]
pub struct Context(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    incoming: Incoming,
    station: Arc<Station>,
    count: Count,
    pulse: Pulse,
}

/// What all deliveries of one consumer share.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) queue: QueueName,
    pub(crate) service: String,
    pub(crate) publisher: Publisher,
    pub(crate) stopping: CancellationToken,
    pub(crate) client: Client,
    pub(crate) facts: QueueFacts,
    pub(crate) tally: Arc<Tally>,
}

// === impl Context ===

impl Context {
    pub(crate) fn new(incoming: Incoming, station: Arc<Station>) -> Self {
        let count = station.tally.count(&incoming);
        Self(Arc::new(Inner { incoming, station, count, pulse: Pulse::default() }))
    }

    /// Returns which attempt this is, counted from 1.
    ///
    /// Quorum queues count; a classic queue only says that it delivered the message before, which makes this 2. A count that the queue
    /// did not write, but a publisher, is not one. An attempt whose handler outlived its delivery counts, too, as long as this service
    /// runs.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.count.failures.saturating_add(1)
    }

    pub(crate) fn count(&self) -> Count {
        self.0.count
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.0.pulse
    }

    pub(crate) fn station(&self) -> &Station {
        &self.0.station
    }

    /// Returns `true` if the broker delivered the message before, to whomever.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.0.incoming.redelivered
    }

    /// Returns the queue it came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.0.station.queue
    }

    /// Returns the name of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.station.service
    }

    /// Returns the exchange it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        &self.0.incoming.exchange
    }

    /// Returns its routing key.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        &self.0.incoming.routing_key
    }

    /// Returns its properties and headers.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.0.incoming.metadata
    }

    /// Returns its message id, if the publisher gave one.
    #[must_use]
    pub fn message_id(&self) -> Option<&str> {
        self.metadata().message_id.as_deref()
    }

    /// Returns the whole delivery, with its encoded body.
    #[must_use]
    pub fn incoming(&self) -> &Incoming {
        &self.0.incoming
    }

    /// Returns the publisher of the service.
    #[must_use]
    pub fn publisher(&self) -> &Publisher {
        &self.0.station.publisher
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

    /// Waits until the service is asked to stop; for handlers that can end early with [`Failure::retry`](crate::Failure::retry).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn stopping(&self) {
        self.0.station.stopping.cancelled().await;
    }
}
