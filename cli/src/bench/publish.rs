//! Measures publishing.

use garenne_cli::measure::{Measurement, Stopwatch};

use super::{Options, load};

/// Publishes with a full window; the latency is the time from sending to the confirm.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<Measurement> {
    let (client, queue) = options.prepare().await?;
    let stopwatch = Stopwatch::start();
    let latencies = load::fill(&client, &queue, options).await?;
    let measured = stopwatch.stop(u64::from(options.count)).named("publish", &latencies);
    client.close().await;
    Ok(measured)
}
