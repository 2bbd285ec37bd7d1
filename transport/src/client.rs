//! The handle that everything starts from.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use garenne_shared::{Codecs, Config, QueueName};
use garenne_topology::{Declaration, QueueDeclaration, Topology};
use tokio::sync::broadcast;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    Applied, Capabilities, Clock, ConfirmChannel, Error, Events, Health, Notice, Problem, QueueInfo, Role,
    Subscriber, Subscription, Verified,
    consume::Registry,
    declare,
    describe::describe,
    dial::wait,
    inspect,
    link::{Link, Shared},
    problem::Problems,
    remove,
    runtime::IoRuntime,
};

/// How many events a slow watcher may fall behind before it misses the oldest.
const EVENTS_KEPT: usize = 256;

/// A client of RabbitMQ that keeps its connections up: the handle that everything starts from. Cheap to clone.
///
/// Publishing and consuming have a connection each; declaring goes over the consuming one, which the broker never blocks.
/// Await [`close`](Self::close) at the end: it waits for outstanding confirms. Dropping the last clone closes both connections at once,
/// and what was under way may be lost; a warning says how much.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    codecs: Codecs,
}

struct Inner {
    config: Arc<Config>,
    consume: Link,
    publish: Link,
    confirms: ConfirmChannel,
    registry: Arc<Registry>,
    /// What this client declared. A plain mutex: it is held for a look-up and never across an await.
    declared: Mutex<HashMap<QueueName, QueueDeclaration>>,
    shared: Shared,
    // Ends the tasks, which hold links of their own, with the last handle.
    _close: DropGuard,
}

// === impl Client ===

impl Client {
    /// Connects to the first endpoint that answers; each is tried once, in random order.
    ///
    /// Takes a [`Config`], or URLs as text for one with the defaults. While none answers it tries again, and logs each time why, for
    /// as long as [`ConnectionConfig::wait`] says: the default is not to wait.
    ///
    /// The consuming connection is opened here, so wrong credentials show at once; the publishing one with the first publish.
    /// Later losses are repaired in the background, without limit, by [`ConnectionConfig::reconnect`].
    ///
    /// [`ConnectionConfig::wait`]: garenne_shared::config::ConnectionConfig::wait
    /// [`ConnectionConfig::reconnect`]: garenne_shared::config::ConnectionConfig::reconnect
    ///
    /// # Errors
    ///
    /// [`Unreachable`](crate::ErrorKind::Unreachable) if no endpoint answers; the connect timeout counts for each step of each,
    /// [`AccessRefused`](crate::ErrorKind::AccessRefused) if the broker refuses user, password or vhost,
    /// [`Config`](crate::ErrorKind::Config) if the configuration is wrong.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped attempt closes its sockets.
    pub async fn connect(config: impl TryInto<Config, Error: Into<Error>>) -> Result<Self, Error> {
        Self::connect_with(config.try_into().map_err(Into::into)?).await
    }

    async fn connect_with(config: Config) -> Result<Self, Error> {
        config.validate()?;
        describe();
        let config = Arc::new(config);
        let runtime = Arc::new(IoRuntime::start()?);
        // On the runtime of its own from the start, because that is where the sockets stay registered.
        let first = runtime.spawn({
            let (config, runtime) = (Arc::clone(&config), Arc::clone(&runtime));
            async move { wait::until_dialed(&config, &runtime).await }
        });
        let abort = AbortOnDrop(first.abort_handle());
        let dialed = first.await.map_err(|error| {
            Error::new(crate::ErrorKind::Closed, "the attempt to connect was abandoned").with_source(error)
        })??;
        drop(abort);
        let capabilities = Arc::new(Capabilities::read(dialed.wire.server()));
        let closed = CancellationToken::new();
        let shared = Shared {
            config: Arc::clone(&config),
            runtime,
            events: broadcast::Sender::new(EVENTS_KEPT),
            closed: closed.clone(),
            up: Arc::default(),
            down: Arc::default(),
            problems: Problems::default(),
            notices: Problems::default(),
            capabilities: Arc::new(Mutex::new(capabilities)),
            owned: Arc::default(),
        };
        let (consume, publish) =
            (Link::new(Role::Consume, shared.clone()), Link::new(Role::Publish, shared.clone()));
        consume.adopt(dialed);
        let confirms = ConfirmChannel::new(publish.clone(), shared.problems.clone());
        let registry = Arc::new(Registry::default());
        let inner = Inner {
            config,
            consume,
            publish,
            confirms,
            registry,
            declared: Mutex::default(),
            shared,
            _close: closed.drop_guard(),
        };
        Ok(Self { inner: Arc::new(inner), codecs: Codecs::default() })
    }

    /// Uses these codecs for everything that starts from the returned handle. The default is [`Codecs::json`].
    #[must_use]
    pub fn with_codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// Returns the codecs.
    #[must_use]
    pub const fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Returns the configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Returns what the broker can do, as the connection that was opened last says: a node may have been upgraded meanwhile.
    #[must_use]
    pub fn capabilities(&self) -> Arc<Capabilities> {
        self.inner.shared.capabilities()
    }

    /// Returns a snapshot of what is really up.
    #[must_use]
    pub fn health(&self) -> Health {
        Health {
            publish: self.inner.publish.health(),
            consume: self.inner.consume.health(),
            subscriptions: self.inner.registry.subscriptions(),
            subscribed: self.inner.registry.subscribed(),
            unconfirmed: self.inner.confirms.unconfirmed(),
            problems: self.inner.shared.problems.texts(),
            notices: self.inner.shared.notices.texts(),
        }
    }

    /// Reports a problem: [`health`](Self::health) names it, and is not ready, until the returned value is dropped.
    ///
    /// The text says what is wrong with which object and what mends it.
    pub fn problem(&self, text: impl Into<String>) -> Problem {
        self.inner.shared.problems.begin(text.into())
    }

    /// Reports something worth knowing: [`health`](Self::health) names it, and is as ready as before, until the returned value is dropped.
    pub fn notice(&self, text: impl Into<String>) -> Notice {
        self.inner.shared.notices.notice(text.into())
    }

    /// Returns the time that deadlines and delays go by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.inner.consume.clock()
    }

    /// Watches connections and subscriptions from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.inner.shared.events.subscribe(), self.inner.shared.closed.clone())
    }

    /// Declares the topology, dead-letter side first, and reports what was created and what was there already.
    ///
    /// Declaring twice changes nothing the second time. External objects must be there, or nothing is declared.
    /// A connection lost meanwhile is waited for, up to `connection.rpc_timeout` for each object.
    ///
    /// # Errors
    ///
    /// [`InvalidTopology`](crate::ErrorKind::InvalidTopology) if it contradicts itself (no broker is asked then),
    /// [`Mismatch`](crate::ErrorKind::Mismatch) if an object exists with other properties (it is never tried again),
    /// [`Unsupported`](crate::ErrorKind::Unsupported) if a type of exchange needs a plugin that the broker lacks: RabbitMQ
    /// closes the connection then, and subscriptions resume on a new one,
    /// [`NotFound`](crate::ErrorKind::NotFound) if an external object does not exist,
    /// [`AccessRefused`](crate::ErrorKind::AccessRefused) and [`Locked`](crate::ErrorKind::Locked) as the broker says.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have declared a part; applying again completes it.
    pub async fn apply(&self, topology: &Topology) -> Result<Applied, Error> {
        let applied = declare::apply(&self.inner.consume, topology).await?;
        let mut declared = self.inner.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.extend(topology.declarations().into_iter().filter_map(|declaration| match declaration {
            Declaration::Queue(queue) => Some((queue.name.clone(), queue)),
            Declaration::Exchange(_) | Declaration::Binding(_) => None,
        }));
        drop(declared);
        Ok(applied)
    }

    /// Returns how this client declared a queue, if it did; AMQP 0-9-1 has no way to ask the broker.
    #[must_use]
    pub fn declared_queue(&self, queue: &QueueName) -> Option<QueueDeclaration> {
        self.inner.declared.lock().unwrap_or_else(PoisonError::into_inner).get(queue).cloned()
    }

    /// Declares the topology as [`apply`](Self::apply) does, and again whenever the connection is up again, before any subscription
    /// comes back.
    ///
    /// For what goes with a connection or with a broker: exclusive and auto-delete queues, and brokers that may come back empty. What
    /// fails later is logged, shown in the [`health`](Self::health), and tried with the next connection.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply), for the first time; nothing is kept then.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have declared a part and keeps nothing.
    pub async fn own(&self, topology: &Topology) -> Result<Applied, Error> {
        let applied = self.apply(topology).await?;
        self.inner.consume.own(topology.clone());
        Ok(applied)
    }

    /// Deletes the queues and exchanges that the topology declares, with the messages in them; external objects stay, and so do
    /// retry tiers, which are shared.
    ///
    /// For what was declared for a test or a single run. To delete what does not exist succeeds. A lost connection is waited
    /// for, up to `connection.rpc_timeout` for each object.
    ///
    /// # Errors
    ///
    /// [`AccessRefused`](crate::ErrorKind::AccessRefused) without the permission to configure an object; what comes after it stays,
    /// [`TimedOut`](crate::ErrorKind::TimedOut) if there is no connection for so long.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may have deleted a part; deleting again completes it.
    pub async fn delete(&self, topology: &Topology) -> Result<(), Error> {
        remove::delete(&self.inner.consume, topology).await
    }

    /// Checks passively that every exchange and queue exists; changes nothing.
    ///
    /// Properties and bindings are not checked: AMQP 0-9-1 has no way to ask for them.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) naming every object that does not exist,
    /// [`InvalidTopology`](crate::ErrorKind::InvalidTopology) if the topology contradicts itself.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn verify(&self, topology: &Topology) -> Result<Verified, Error> {
        declare::verify(&self.inner.consume, topology).await
    }

    /// Compares a queue with how it is declared in the topology; changes nothing.
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such queue, [`Mismatch`](crate::ErrorKind::Mismatch) with both values if it
    /// has another property, [`AccessRefused`](crate::ErrorKind::AccessRefused) without the permission to configure it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn compare_queue(&self, queue: &QueueDeclaration) -> Result<(), Error> {
        declare::compare(&self.inner.consume, queue).await
    }

    /// Asks the broker how many messages are ready in a queue and how many consumers it has (a passive declare).
    ///
    /// # Errors
    ///
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such queue.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn queue_info(&self, queue: &QueueName) -> Result<QueueInfo, Error> {
        inspect::queue_info(&self.inner.consume, queue).await
    }

    /// Returns the handle for confirmed publishing; all of a client's handles share one window.
    #[must_use]
    pub fn confirm_channel(&self) -> ConfirmChannel {
        self.inner.confirms.clone()
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
        Subscriber::open(self.inner.consume.clone(), subscription, Arc::clone(&self.inner.registry)).await
    }

    /// Closes in three steps: takes no more publishes, waits for outstanding confirms up to the confirm timeout, closes both
    /// connections. Subscriptions still open end; what they left unsettled is delivered again.
    ///
    /// # Cancel safety
    ///
    /// A dropped call may leave the connections open; the last handle closes them.
    pub async fn close(&self) {
        self.inner.confirms.drain(self.inner.config.publish.confirm_timeout).await;
        self.inner.registry.close(self.inner.config.connection.rpc_timeout, &self.clock()).await;
        self.inner.shared.closed.cancel();
        self.inner.shared.runtime.join().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let unconfirmed = self.confirms.unconfirmed();
        if unconfirmed > 0 && !self.shared.closed.is_cancelled() {
            tracing::warn!(
                unconfirmed,
                "the last handle of the client was dropped with publishes under way, their outcome is unknown; await `Client::close` first"
            );
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("health", &self.health()).finish_non_exhaustive()
    }
}

/// Stops a connect whose caller went away.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
