//! Measures consuming.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use garenne::prelude::*;
use garenne_cli::measure::{Latencies, Measurement, Stopwatch};
use tokio::sync::mpsc;

use super::{Options, layers, load};

/// How many messages the latency is measured with, one at a time.
const PROBES: u32 = 1000;

/// Drains a filled queue for the rate, then sends messages one by one for the latency from publish to handler.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<Measurement> {
    let (client, queue) = options.prepare().await?;
    load::fill(&Publisher::new(&client), &queue, options).await?;

    // The last of the filled messages and every probe report in; the others cost what they cost a service.
    let (last_ones, mut arrivals) = mpsc::channel(1);
    let handled = AtomicU32::new(0);
    let state = Arc::new((handled, last_ones, options.count));
    let handler = move |sample: load::Sample, _: Context| {
        let state = Arc::clone(&state);
        async move {
            let (handled, last_ones, count) = &*state;
            if handled.fetch_add(1, Ordering::Relaxed) + 1 < *count {
                return Ok(());
            }
            last_ones.send(sample.age()).await.or_retry()
        }
    };
    let consumer = Consumer::new(queue.clone())
        .concurrency(usize::from(options.concurrency))
        .prefetch(options.prefetch)
        .handle(handler);
    let service = layers::around_handling(Service::new(&client), options.layers).consume(consumer);
    let stopwatch = Stopwatch::start();
    let measure = async {
        arrivals.recv().await;
        let measured = stopwatch.stop(u64::from(options.count));
        let publisher = Publisher::new(&client);
        let mut sample = load::Sample::new(&queue, options.size)?;
        let mut latencies = Latencies::new();
        for _ in 0..PROBES {
            publisher.publish(sample.stamp()).await?;
            if let Some(age) = arrivals.recv().await {
                latencies.note(age);
            }
        }
        anyhow::Ok(measured.named("consume", &latencies))
    };
    let (done, measured) = tokio::sync::oneshot::channel();
    let stop = async {
        // The receiver lives until the service has ended.
        let _ = done.send(measure.await);
    };
    service.run_until(stop).await?;
    client.close().await;
    measured.await?
}
