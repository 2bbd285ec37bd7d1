//! The embedded broker, in the process that uses it, as tests have it: how soon it is ready, and what one lapin connection gets out of it.

use std::time::Instant;

use garenne_embedded::Broker;
use lapin::{Connection, ConnectionProperties};
use serde::Serialize;

use crate::{Options, QueueKind, consume, publish};

/// How often the start is measured.
const STARTS: usize = 51;

/// The options of the subcommand.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct EmbeddedOptions {
    /// How many messages.
    #[arg(long, default_value_t = 200_000)]
    count: u32,
    /// The size of an encoded body, in bytes.
    #[arg(long, default_value_t = 128)]
    size: u32,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Figures {
    /// The median time from nothing to an open channel, in milliseconds.
    ready_ms: f64,
    /// Confirmed publishes a second.
    published_per_second: f64,
    /// Deliveries a second, acknowledged by 50.
    consumed_per_second: f64,
}

/// Measures and prints one JSON object.
pub(crate) async fn run(options: &EmbeddedOptions) -> anyhow::Result<()> {
    let mut starts = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let start = Instant::now();
        let broker = Broker::start().await?;
        let connection = Connection::connect(broker.url(), ConnectionProperties::default()).await?;
        // Kept: dropping it would close it.
        let _channel = connection.create_channel().await?;
        starts.push(start.elapsed().as_secs_f64() * 1000.0);
        connection.close(200, "done".into()).await?;
        broker.stop().await;
    }
    starts.sort_by(f64::total_cmp);

    // Without the books: they are for looking into tests, and would keep what a benchmark moves.
    let broker = Broker::builder().history(0).start().await?;
    let options = Options {
        url: broker.url().to_owned(),
        queue_kind: QueueKind::Classic,
        size: options.size,
        window: 1000,
        prefetch: 200,
        count: options.count,
        json: true,
    };
    let figures = Figures {
        ready_ms: starts[STARTS / 2],
        published_per_second: publish::pipelined(&options).await?.per_second,
        consumed_per_second: consume::ack_by_50(&options).await?.per_second,
    };
    broker.stop().await;
    serde_json::to_writer(std::io::stdout(), &figures)?;
    Ok(())
}
