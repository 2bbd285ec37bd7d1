//! The messages and the queue of a benchmark.

use std::{
    pin::pin,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt as _, stream};
use garenne::{QueueDefinition, prelude::*};
use garenne_cli::measure::Latencies;
use serde::{Deserialize, Serialize};

use super::{Options, QueueKind, RetryIn};

/// How long the broker keeps a benchmark's queue when nobody uses it.
const EXPIRES: Duration = Duration::from_secs(60);

/// How long a failed message waits.
const DELAY: Duration = Duration::from_secs(2);

/// The message of a benchmark: as large as asked for.
#[derive(Debug, Serialize, Deserialize, Message)]
#[message(type = "bench.sample.v1", exchange = "", key = "{queue}")]
pub(crate) struct Sample {
    queue: String,
    sent_us: u64,
    padding: String,
}

// === impl Sample ===

impl Sample {
    /// Makes a sample that encodes to `size` bytes of JSON, or to as few as the fields need.
    pub(crate) fn new(queue: &QueueName, size: u32) -> anyhow::Result<Self> {
        let mut sample = Self { queue: queue.to_string(), sent_us: now_us(), padding: String::new() };
        let bare = serde_json::to_vec(&sample)?.len();
        sample.padding = "x".repeat((size as usize).saturating_sub(bare));
        Ok(sample)
    }

    /// Sets the time it is sent to now.
    pub(crate) fn stamp(&mut self) -> &Self {
        self.sent_us = now_us();
        self
    }

    /// Returns the time since it was sent.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(now_us().saturating_sub(self.sent_us))
    }
}

/// Returns the queue of a benchmark, which the broker deletes a minute after its last use.
pub(crate) fn queue(options: &Options, name: QueueName) -> QueueDefinition {
    let policy = options.retry.map(|place| match place {
        RetryIn::Queue => Retry::fixed(DELAY),
        RetryIn::Tier => Retry::exponential(DELAY..=2 * DELAY),
    });
    match (policy, options.queue_kind) {
        (Some(policy), _) => Queue::quorum(name).expires(EXPIRES).without_dead_letter().retry(policy).into(),
        (None, QueueKind::Quorum) => Queue::quorum(name).expires(EXPIRES).without_dead_letter().into(),
        (None, QueueKind::Classic) => Queue::classic(name).expires(EXPIRES).into(),
    }
}

/// Publishes as many samples as asked for with a full window; returns the latencies of their confirms.
pub(crate) async fn fill(
    publisher: &Publisher,
    queue: &QueueName,
    options: &Options,
) -> anyhow::Result<Latencies> {
    let mut sample = Sample::new(queue, options.size)?;
    let publishes = stream::iter(0..options.count).map(|number| (number, publisher.publish(sample.stamp())));
    let mut outcomes = pin!(publisher.publish_each(publishes));
    let mut latencies = Latencies::new();
    while let Some((_, outcome)) = outcomes.next().await {
        latencies.note(outcome?.latency);
    }
    Ok(latencies)
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
