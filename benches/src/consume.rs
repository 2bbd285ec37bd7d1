//! Consuming with raw lapin: one loop, two ways to ack.

use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use garenne_cli::measure::{Latencies, Measurement, Stopwatch};
use lapin::{
    Channel, Connection, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};

use crate::{
    Options,
    load::{self, Sample},
    publish,
};

/// How many deliveries one ack covers.
const BATCH: u32 = 50;

/// Awaits each ack.
pub(crate) async fn ack_each(options: &Options) -> anyhow::Result<Measurement> {
    let (connection, _channel, mut consumer) = subscribe(options).await?;
    let stopwatch = Stopwatch::start();
    let mut latencies = Latencies::new();
    for _ in 0..options.count {
        let delivery = consumer.next().await.context("the consumer ended")??;
        latencies.note(age(&delivery.data)?);
        delivery.ack(BasicAckOptions::default()).await?;
    }
    let measured = stopwatch.stop(u64::from(options.count)).named("raw consume, ack each", &latencies);
    connection.close(200, "done".into()).await?;
    Ok(measured)
}

/// Acks every 50th delivery and the last with `multiple`.
pub(crate) async fn ack_by_50(options: &Options) -> anyhow::Result<Measurement> {
    let (connection, channel, mut consumer) = subscribe(options).await?;
    let stopwatch = Stopwatch::start();
    let mut latencies = Latencies::new();
    for handled in 1..=options.count {
        let delivery = consumer.next().await.context("the consumer ended")??;
        latencies.note(age(&delivery.data)?);
        if handled % BATCH == 0 || handled == options.count {
            channel.basic_ack(delivery.delivery_tag, BasicAckOptions { multiple: true }).await?;
        }
    }
    let measured = stopwatch.stop(u64::from(options.count)).named("raw consume, ack by 50", &latencies);
    connection.close(200, "done".into()).await?;
    Ok(measured)
}

async fn subscribe(options: &Options) -> anyhow::Result<(Connection, Channel, Consumer)> {
    let (connection, channel, queue) = load::prepare(options).await?;
    publish::fill(&channel, &queue, options).await?;
    channel.basic_qos(options.prefetch, BasicQosOptions::default()).await?;
    let consumer = channel
        .basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    Ok((connection, channel, consumer))
}

/// Decodes the body as a handler would, and returns the time since it was published.
fn age(body: &[u8]) -> anyhow::Result<Duration> {
    let sample: Sample = serde_json::from_slice(body)?;
    Ok(Duration::from_micros(load::now_us().saturating_sub(sample.sent_us)))
}
