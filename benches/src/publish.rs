//! Publishing with raw lapin: the properties that Garenne sends, many publishes in flight, each confirm awaited, outcomes not checked for
//! returns.

use std::time::Instant;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use garenne_cli::measure::{Latencies, Measurement, Stopwatch};
use garenne_shared::Metadata;
use lapin::{BasicProperties, Channel, options::BasicPublishOptions};

use crate::{
    Options,
    load::{self, Sample},
};

/// Publishes pipelined from one task.
pub(crate) async fn pipelined(options: &Options) -> anyhow::Result<Measurement> {
    let (connection, channel, queue) = load::prepare(options).await?;
    let stopwatch = Stopwatch::start();
    let latencies = fill(&channel, &queue, options).await?;
    let measured = stopwatch.stop(u64::from(options.count)).named("raw publish, pipelined", &latencies);
    connection.close(200, "done".into()).await?;
    Ok(measured)
}

/// Fills the queue with a full window.
pub(crate) async fn fill(channel: &Channel, queue: &str, options: &Options) -> anyhow::Result<Latencies> {
    let mut sample = Sample::new(queue, options.size)?;
    let mut latencies = Latencies::new();
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let mut confirms = stream::iter(0..options.count)
        .map(|_| {
            sample.sent_us = load::now_us();
            let body = serde_json::to_vec(&sample);
            async move {
                let sent = Instant::now();
                let properties = BasicProperties::default()
                    .with_content_type("application/json".into())
                    .with_delivery_mode(2)
                    .with_message_id(Metadata::new_message_id().into())
                    .with_timestamp(load::now_us() / 1_000_000)
                    .with_type("bench.sample.v1".into())
                    .with_app_id("bench".into());
                let confirm =
                    channel.basic_publish("".into(), queue.into(), mandatory, &body?, properties).await?;
                confirm.await?;
                anyhow::Ok(sent.elapsed())
            }
        })
        .buffer_unordered(options.window as usize);
    while let Some(latency) = confirms.try_next().await? {
        latencies.note(latency);
    }
    Ok(latencies)
}
