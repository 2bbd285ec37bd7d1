//! Measures publishing.

use garenne::Publisher;
use garenne_cli::measure::{Measurement, Stopwatch};

use super::{Options, layers, load};

/// Publishes with a full window; the latency is the time from sending to the confirm.
pub(crate) async fn measure(options: &Options) -> anyhow::Result<Measurement> {
    let (client, contract) = options.prepare().await?;
    let queue = contract.queue().clone();
    let publisher = layers::around_publishing(Publisher::new(&client), options.layers);
    let stopwatch = Stopwatch::start();
    let latencies = load::fill(&publisher, &queue, options).await?;
    let measured = stopwatch.stop(u64::from(options.count)).named("publish", &latencies);
    client.close().await;
    Ok(measured)
}
