//! The messages and the queue of a benchmark.

use std::time::{SystemTime, UNIX_EPOCH};

use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde::{Deserialize, Serialize};

use crate::{Options, QueueKind};

/// The message of a benchmark, the same as that of `garenne bench`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) queue: String,
    pub(crate) sent_us: u64,
    pub(crate) padding: String,
}

// === impl Sample ===

impl Sample {
    /// Makes a sample that encodes to `size` bytes, or as few as the fields need.
    pub(crate) fn new(queue: &str, size: u32) -> anyhow::Result<Self> {
        let mut sample = Self { queue: queue.to_owned(), sent_us: now_us(), padding: String::new() };
        let bare = serde_json::to_vec(&sample)?.len();
        sample.padding = "x".repeat((size as usize).saturating_sub(bare));
        Ok(sample)
    }
}

/// Connects, opens a channel in confirm mode, and declares a queue that the broker deletes a minute after its last use.
pub(crate) async fn prepare(options: &Options) -> anyhow::Result<(Connection, Channel, String)> {
    let connection = Connection::connect(&options.url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let queue = format!("garenne.bench.raw.{}", now_us());
    let mut arguments = FieldTable::default();
    arguments.insert("x-expires".into(), AMQPValue::LongInt(60_000));
    let kind = match options.queue_kind {
        QueueKind::Quorum => "quorum",
        QueueKind::Classic => "classic",
    };
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), durable, arguments).await?;
    Ok((connection, channel, queue))
}

/// The time in microseconds since the Unix epoch.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
