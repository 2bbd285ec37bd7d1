//! Several consumers that start and stop together.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use garenne_producer::Publisher;
use garenne_shared::{QueueName, Retry};
use garenne_transport::{Client, Clock, Error, ErrorKind, Subscription};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Consumer, Force, Layer, agreement,
    context::Environment,
    ending::Ending,
    execute::Kept,
    facts::QueueFacts,
    kill_switch::Outcomes,
    metric::Metrics,
    pipeline::Pipeline,
    runner::{CLOSE_LIMIT, GRACE, Runner},
    slow::Slow,
    tally::Tally,
    watch::{Watch, Watchdog},
    work::Work,
};

/// Several consumers that start and stop together.
///
/// Stopping has three steps: cancel the subscriptions and hand back what nobody has begun; let running handlers, and copies on their
/// way to a dead-letter queue, finish, up to the drain timeout, and settle them; write the last acknowledgements and close the channels.
///
/// It ends in one of three ways:
///
/// | ending | [`run_until`](Self::run_until) returns |
/// |---|---|
/// | clean: whatever had begun was finished and settled | `Ok(())` |
/// | handed back: handlers were still running at the drain timeout, or the broker had taken messages back before they were settled | [`ErrorKind::HandedBack`] |
/// | forced: a second signal, or whatever [`Force`] stands for | [`ErrorKind::Forced`] |
///
/// After the last two the broker delivers again what was not settled.
#[must_use = "a service does nothing until it is run"]
pub struct Service {
    client: Client,
    consumers: Vec<Consumer>,
    layers: Vec<Arc<dyn Layer>>,
    publisher: Option<Publisher>,
    drain_timeout: Duration,
}

// === impl Service ===

impl Service {
    /// Makes a service without consumers.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            consumers: Vec::new(),
            layers: Vec::new(),
            publisher: None,
            drain_timeout: Duration::from_secs(30),
        }
    }

    /// Adds a consumer. Several may share a queue: they compete for its messages.
    pub fn consume(mut self, consumer: Consumer) -> Self {
        self.consumers.push(consumer);
        self
    }

    /// Adds a layer around the handling of every message of every consumer, inside those added before.
    pub fn layer(mut self, layer: impl Layer) -> Self {
        self.layers.push(Arc::new(layer));
        self
    }

    /// Sets what handlers publish with ([`Context::publisher`](crate::Context::publisher), `publish`, `defer` and replies): one with layers
    /// or another retry policy. The default is `Publisher::new(&client)`. Dead-letter copies go past its layers, as they came.
    pub fn publisher(mut self, publisher: Publisher) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Sets how long running handlers and dead-letter copies may take to finish after the stop. The default is 30 s.
    ///
    /// What still runs then is dropped, and its messages are handed back. [`Duration::MAX`] waits for as long as it takes.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Runs until `shutdown` is ready, then stops.
    ///
    /// What `shutdown` ends with can force the end while the service drains: [`shutdown_signal`](crate::shutdown_signal) ends with the
    /// next signal, any other future with `()`, which never does. Running handlers are dropped then, and their messages handed back.
    ///
    /// Lost connections, closed channels and deleted queues do not end it: the subscriptions come back.
    ///
    /// # Errors
    ///
    /// Fails at the start if a queue cannot be consumed ([`NotFound`](ErrorKind::NotFound),
    /// [`AccessRefused`](ErrorKind::AccessRefused), [`Locked`](ErrorKind::Locked)); at the end if it was not clean
    /// ([`HandedBack`](ErrorKind::HandedBack), [`Forced`](ErrorKind::Forced)); in between only if the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops at once: running handlers are dropped and their messages delivered again.
    pub async fn run_until<F: Into<Force>>(self, shutdown: impl Future<Output = F>) -> Result<(), Error> {
        let (stop, ending) = (CancellationToken::new(), Arc::new(Ending::default()));
        let (drain_timeout, clock) = (self.drain_timeout, self.client.clock());
        let mut shutdown = pin!(shutdown);
        let runners = tokio::select! {
            biased;
            _ = &mut shutdown => {
                tracing::info!("stopping before every queue was subscribed to");
                return Ok(());
            }
            runners = self.subscribe(&stop, &ending) => runners?,
        };
        let watches: Vec<_> = runners.iter().map(|runner| Arc::clone(runner.watch())).collect();
        let _watchdog = Watchdog::start(watches.clone()).map_err(|error| {
            Error::new(ErrorKind::Config, "the thread that watches handlers cannot be started")
                .with_source(error)
        })?;
        let mut running = JoinSet::new();
        for runner in runners {
            running.spawn(runner.run());
        }
        let mut outcome = Ok(());
        let mut force = Force::from(());
        tokio::select! {
            forced_by = &mut shutdown => {
                tracing::info!("stopping");
                force = forced_by.into();
            }
            Some(ended) = running.join_next() => {
                outcome = flatten(ended).and_then(|()| {
                    Err(Error::new(ErrorKind::Closed, "a consumer ended because the client was closed"))
                });
            }
        }
        stop.cancel();
        let mut drained = pin!(join_all(&mut running));
        let forced = tokio::select! {
            biased;
            ended = &mut drained => return outcome.and(ended).and(ending.verdict(false, drain_timeout)),
            () = force.wait() => true,
            () = elapsed(&clock, drain_timeout) => false,
        };
        tracing::warn!(
            forced,
            "handlers are still running at the end of the stop: their messages are handed back"
        );
        ending.cut().cancel();
        // A handler that blocks the thread of its consumer keeps that from ending.
        let patience = if forced { GRACE * 2 } else { GRACE * 2 + CLOSE_LIMIT };
        match clock.timeout(patience, drained).await {
            Ok(ended) => outcome = outcome.and(ended),
            Err(_) => ending.abandoned(watches.iter().map(|watch| watch.running()).sum()),
        }
        outcome.and(ending.verdict(forced, drain_timeout))
    }

    /// Subscribes every consumer.
    async fn subscribe(self, stop: &CancellationToken, ending: &Arc<Ending>) -> Result<Vec<Runner>, Error> {
        let Self { client, consumers, layers, publisher, .. } = self;
        let copies = Publisher::new(&client).retry(Retry::never(), Duration::ZERO);
        let publisher = publisher.unwrap_or_else(|| Publisher::new(&client));
        let mut tallies: HashMap<QueueName, Arc<Tally>> = HashMap::new();
        let host = gethostname::gethostname().to_string_lossy().into_owned();
        let mut runners = Vec::with_capacity(consumers.len());
        for consumer in consumers {
            let queue = consumer.queue.clone();
            let prefetch = consumer.effective_prefetch();
            let facts = QueueFacts::gather(&consumer, &client);
            agreement::check(&consumer, &facts, &client).await?;
            let tally = tallies.entry(queue.clone()).or_insert_with(|| Arc::new(Tally::new(facts.counts)));
            let metrics = Arc::new(Metrics::new(&queue));
            let environment = Arc::new(Environment {
                service: client.config().service.clone(),
                host: host.clone(),
                publisher: publisher.clone(),
                copies: copies.clone(),
                stopping: stop.clone(),
                client: client.clone(),
                facts,
                tally: Arc::clone(tally),
                queue,
            });
            let consumer_timeout = consumer.timeout;
            let outcomes =
                consumer.kill_switch.clone().map(|switch| Outcomes::new(switch, client.clock().now()));
            let work = Work {
                watch: Arc::new(Watch::new(consumer.timeout, Arc::clone(&metrics))),
                kept: Kept::new(&environment, prefetch, &metrics),
                pipeline: Pipeline::new(consumer, &layers, &client),
                ending: Arc::clone(ending),
                cut_delay_told: false.into(),
                slow: Slow::new(consumer_timeout),
                outcomes,
                environment,
                metrics,
            };
            let work = Arc::new(work);
            let subscription = Subscription::new(work.environment.queue.clone()).prefetch(prefetch);
            runners.push(Runner::new(client.subscribe(subscription).await?, &work, stop));
        }
        Ok(runners)
    }
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("consumers", &self.consumers).finish_non_exhaustive()
    }
}

/// Waits for a time that may be longer than the clock can tell.
async fn elapsed(clock: &Clock, limit: Duration) {
    match clock.now().checked_add(limit) {
        Some(end) => clock.sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Waits until every consumer has ended; the first error stands.
async fn join_all(running: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    let mut outcome = Ok(());
    while let Some(ended) = running.join_next().await {
        outcome = outcome.and(flatten(ended));
    }
    outcome
}

fn flatten(ended: Result<Result<(), Error>, JoinError>) -> Result<(), Error> {
    ended.unwrap_or_else(|error| {
        // Handlers cannot cause this: their panics are caught.
        Err(Error::new(ErrorKind::Closed, "a consumer ended unexpectedly").with_source(error))
    })
}
