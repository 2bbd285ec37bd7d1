//! What the suites about handlers share: a queue with its dead-letter queue, and services that run beside the test.

use std::sync::{Arc, Mutex};

use garenne::{Client, Consumer, Force, Publisher, Queue, QueueName, Service, Topology, prelude::Message};
use garenne_tests::{SECONDS, Vhost, eventually};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A job for the queue `work`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(type = "job.v1", key = "work")]
pub(crate) struct Job {
    pub(crate) number: u32,
}

/// Another type on the same queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Message)]
#[message(type = "memo.v1", key = "work")]
pub(crate) struct Memo {
    pub(crate) text: String,
}

/// A vhost with the queue `work`, and a client.
pub(crate) struct Workshop {
    pub(crate) vhost: Vhost,
    pub(crate) client: Client,
}

/// A service that runs beside the test.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), garenne::Error>>,
}

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

// === impl Workshop ===

impl Workshop {
    /// Makes `work`, a quorum queue that gives up after `limit` failed deliveries, and `work.dlq`.
    pub(crate) async fn new(limit: u32) -> Self {
        let queue = Queue::quorum("work").delivery_limit(limit).dead_letter();
        Self::with(Topology::new().queue(queue)).await
    }

    /// Makes whatever the topology says.
    pub(crate) async fn with(topology: Topology) -> Self {
        let vhost = crate::vhost().await;
        let client = vhost.connect().await;
        client.apply(&topology).await.expect("the topology is applied");
        Self { vhost, client }
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::new(&self.client)
    }

    /// Publishes the jobs of a range.
    pub(crate) async fn jobs(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            self.publisher().publish(&Job { number }).await.expect("the job is confirmed");
        }
    }

    /// Runs one consumer.
    pub(crate) fn run(&self, consumer: Consumer) -> Running {
        Self::serve(Service::new(&self.client).consume(consumer))
    }

    /// Runs a service until it is stopped.
    pub(crate) fn serve(service: Service) -> Running {
        let stop = CancellationToken::new();
        let running = Self::serve_until(service, stop.clone().cancelled_owned());
        Running { stop, ..running }
    }

    /// Runs a service until something happens.
    #[expect(clippy::disallowed_methods, reason = "the task is joined or aborted by the test")]
    pub(crate) fn serve_until<F: Into<Force> + Send + 'static>(
        service: Service,
        shutdown: impl Future<Output = F> + Send + 'static,
    ) -> Running {
        Running { stop: CancellationToken::new(), task: tokio::spawn(service.run_until(shutdown)) }
    }

    /// Waits until a queue holds exactly `count` messages, delivered or not.
    pub(crate) async fn holds(&self, queue: &str, count: u64) {
        eventually(60 * SECONDS, &format!("{queue} holds {count}"), async || {
            let found = self.vhost.counts(queue).await;
            if found.messages == Some(count) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// Asks the queue itself how many messages are ready, which no statistics delay.
    pub(crate) async fn ready(&self, queue: &'static str) -> u32 {
        self.client.queue_info(&QueueName::from_static(queue)).await.expect("the queue is there").ready
    }

    /// Takes the only message of `work.dlq`.
    pub(crate) async fn dead_letter(&self) -> Value {
        self.holds("work.dlq", 1).await;
        let mut taken = self.vhost.take_raw("work.dlq", 10).await;
        assert_eq!(taken.len(), 1, "{taken:?}");
        taken.remove(0)
    }
}

// === impl Running ===

impl Running {
    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(self) -> Result<(), garenne::Error> {
        self.stop.cancel();
        self.task.await.expect("the service does not panic")
    }

    /// Asks it to stop and goes on.
    pub(crate) fn ask(&self) {
        self.stop.cancel();
    }

    /// Drops it on the spot, as a crash would.
    pub(crate) async fn crash(self) {
        self.task.abort();
        // Cancelled is what it is meant to be.
        let _ = self.task.await;
    }
}

// === impl Diary ===

impl Diary {
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().expect("no test panics while it writes").push(what.into());
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        self.0.lock().expect("no test panics while it writes").clone()
    }

    /// Waits until there are at least `count` entries.
    pub(crate) async fn reaches(&self, count: usize) {
        eventually(60 * SECONDS, &format!("{count} entries"), async || {
            let entries = self.entries();
            if entries.len() >= count { Ok(()) } else { Err(entries) }
        })
        .await;
    }
}
