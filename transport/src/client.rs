//! The handle that everything starts from.

use garenne_shared::{Codecs, Config};
use garenne_topology::Topology;

use crate::{
    Applied, Capabilities, ConfirmChannel, Error, Events, Health, Subscriber, Subscription, Verified,
};

/// A connection to RabbitMQ that keeps itself up: the handle that everything starts from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {}

// === impl Client ===

impl Client {
    /// Connects to the first endpoint that answers.
    ///
    /// The consuming connection is opened here, so wrong credentials show at once; the publishing one with the first publish.
    ///
    /// # Errors
    ///
    /// Fails if no endpoint answers within the connect timeout, or if the broker refuses user or vhost.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped attempt closes its sockets.
    pub async fn connect(config: Config) -> Result<Self, Error> {
        let _ = config;
        todo!()
    }

    /// Uses these codecs for everything that starts from the returned handle. The default is [`Codecs::json`].
    #[must_use]
    pub fn with_codecs(self, codecs: Codecs) -> Self {
        let _ = codecs;
        todo!()
    }

    /// Returns the codecs.
    #[must_use]
    pub fn codecs(&self) -> &Codecs {
        todo!()
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        todo!()
    }

    /// Returns what the connected broker can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        todo!()
    }

    /// Returns a snapshot of what is really up.
    #[must_use]
    pub fn health(&self) -> Health {
        todo!()
    }

    /// Watches connections and subscriptions from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        todo!()
    }

    /// Declares the topology, dead-letter side first.
    ///
    /// # Errors
    ///
    /// Fails if the topology contradicts itself, or if an object exists with other properties
    /// ([`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch)).
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have declared a part; applying again completes it.
    pub async fn apply(&self, topology: &Topology) -> Result<Applied, Error> {
        let _ = topology;
        todo!()
    }

    /// Checks passively that every exchange and queue exists; changes nothing.
    ///
    /// # Errors
    ///
    /// Fails with the first object that does not exist.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn verify(&self, topology: &Topology) -> Result<Verified, Error> {
        let _ = topology;
        todo!()
    }

    /// Returns the handle for confirmed publishing; all of a client's handles share one window.
    #[must_use]
    pub fn confirm_channel(&self) -> ConfirmChannel {
        todo!()
    }

    /// Subscribes to a queue.
    ///
    /// # Errors
    ///
    /// Fails if the queue does not exist or may not be read. Later losses do not end the subscription.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call leaves no consumer behind.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<Subscriber, Error> {
        let _ = subscription;
        todo!()
    }

    /// Closes: waits for outstanding confirms up to the confirm timeout, then closes both connections.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped call leaves the client closing.
    pub async fn close(&self) {
        todo!()
    }
}
