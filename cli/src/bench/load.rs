//! The messages and the queue of a benchmark.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use garenne::prelude::*;
use garenne_cli::measure::Latencies;
use serde::{Deserialize, Serialize};

use super::{Options, QueueKind};

/// How long the broker keeps a benchmark's queue when nobody uses it.
const EXPIRES: Duration = Duration::from_secs(60);

/// The message of a benchmark: as large as asked for.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(type = "bench.sample.v1", exchange = "", key = "{queue}")]
pub(crate) struct Sample {
    queue: Arc<str>,
    sent_us: u64,
    padding: Arc<str>,
}

/// Makes samples of one size for one queue.
#[derive(Debug, Clone)]
pub(crate) struct Mold {
    queue: Arc<str>,
    padding: Arc<str>,
}

// === impl Sample ===

impl Sample {
    /// Returns the time since the sample was made.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(now_us().saturating_sub(self.sent_us))
    }
}

// === impl Mold ===

impl Mold {
    /// Makes a mold whose samples encode to `size` bytes of JSON, or as few as the fields need.
    pub(crate) fn new(queue: &QueueName, size: u32) -> anyhow::Result<Self> {
        let empty = Self { queue: queue.as_str().into(), padding: "".into() };
        let bare = serde_json::to_vec(&empty.sample())?.len();
        let padding = "x".repeat((size as usize).saturating_sub(bare));
        Ok(Self { padding: padding.into(), ..empty })
    }

    /// Makes a sample now.
    pub(crate) fn sample(&self) -> Sample {
        Sample { queue: Arc::clone(&self.queue), sent_us: now_us(), padding: Arc::clone(&self.padding) }
    }
}

/// Returns the topology of a benchmark: one queue, deleted a minute after its last use.
pub(crate) fn topology(kind: QueueKind, queue: &QueueName) -> Topology {
    match kind {
        QueueKind::Quorum => Topology::new().queue(Queue::quorum(queue).expires(EXPIRES).without_dead_letter()),
        QueueKind::Classic => Topology::new().queue(Queue::classic(queue).expires(EXPIRES)),
    }
}

/// Publishes as many samples as asked for with a full window; returns the latencies of their confirms.
pub(crate) async fn fill(client: &Client, queue: &QueueName, options: &Options) -> anyhow::Result<Latencies> {
    let publisher = Publisher::new(client);
    let mold = Mold::new(queue, options.size)?;
    let mut latencies = Latencies::new();
    let mut receipts = stream::iter(0..options.count)
        .then(|_| publisher.publish(&mold.sample()).enqueue())
        .try_buffer_unordered(options.window as usize);
    while let Some(receipt) = receipts.try_next().await? {
        latencies.note(receipt.latency);
    }
    Ok(latencies)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
