//! Several consumers that start and stop together.

use std::{sync::Arc, time::Duration};

use garenne_producer::Publisher;
use garenne_transport::{Client, Error, ErrorKind, Subscription};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Consumer, Middleware,
    context::Station,
    metric::Metrics,
    pipeline::Pipeline,
    runner::{Runner, Work},
};

/// Several consumers that start and stop together.
///
/// Stopping has three steps: cancel the subscriptions and hand back what nobody has begun; let running handlers, and copies on their
/// way to a dead-letter queue, finish, up to the drain timeout, and settle them; write the last acknowledgements and close the channels.
#[must_use = "a service does nothing until it is run"]
pub struct Service {
    client: Client,
    consumers: Vec<Consumer>,
    middleware: Vec<Arc<dyn Middleware>>,
    drain_timeout: Duration,
}

// === impl Service ===

impl Service {
    /// Makes a service without consumers.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            consumers: Vec::new(),
            middleware: Vec::new(),
            drain_timeout: Duration::from_secs(30),
        }
    }

    /// Adds a consumer. Several may share a queue: they compete for its messages.
    pub fn consume(mut self, consumer: Consumer) -> Self {
        self.consumers.push(consumer);
        self
    }

    /// Adds a middleware around every handler of every consumer, inside those added before.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.middleware.push(Arc::new(middleware));
        self
    }

    /// Sets how long running handlers and dead-letter copies may take to finish after the stop. The default is 30 s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Runs until `shutdown` is ready, then stops cleanly.
    ///
    /// Lost connections, closed channels and deleted queues do not end it: the subscriptions come back.
    ///
    /// # Errors
    ///
    /// Fails at the start if a queue cannot be consumed ([`NotFound`](ErrorKind::NotFound),
    /// [`AccessRefused`](ErrorKind::AccessRefused), [`Locked`](ErrorKind::Locked)); at the end if deliveries were left unsettled at the
    /// drain timeout ([`TimedOut`](ErrorKind::TimedOut)), which the broker delivers again; in between only if the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops at once: running handlers are dropped and their messages delivered again.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let publisher = Publisher::new(&self.client);
        let mut runners = Vec::with_capacity(self.consumers.len());
        for consumer in self.consumers {
            let queue = consumer.queue.clone();
            let subscription = Subscription::new(queue.clone()).prefetch(consumer.effective_prefetch());
            let subscriber = self.client.subscribe(subscription).await?;
            let metrics = Metrics::new(&queue);
            let service = self.client.config().service.clone();
            let station = Station { queue, service, publisher: publisher.clone(), stopping: stop.clone() };
            let pipeline = Pipeline::new(consumer, &self.middleware, self.client.codecs().clone());
            let work = Arc::new(Work { pipeline, station: Arc::new(station), metrics });
            runners.push(Runner { subscriber, work, drain_timeout: self.drain_timeout });
        }
        let mut running = JoinSet::new();
        for runner in runners {
            running.spawn(runner.run(stop.clone()));
        }
        let mut outcome = Ok(());
        tokio::select! {
            () = shutdown => tracing::info!("stopping"),
            Some(ended) = running.join_next() => {
                outcome = flatten(ended).and_then(|()| {
                    Err(Error::new(ErrorKind::Closed, "a consumer ended because the client was closed"))
                });
            }
        }
        stop.cancel();
        while let Some(ended) = running.join_next().await {
            outcome = outcome.and(flatten(ended));
        }
        outcome
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("consumers", &self.consumers).finish_non_exhaustive()
    }
}

fn flatten(ended: Result<Result<(), Error>, tokio::task::JoinError>) -> Result<(), Error> {
    ended.unwrap_or_else(|error| {
        // Handlers cannot cause this: their panics are caught.
        Err(Error::new(ErrorKind::Closed, "a consumer ended unexpectedly").with_source(error))
    })
}
