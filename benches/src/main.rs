//! Hand-written lapin loops, the peers that Garenne is compared with. Besides `transport` the only user of lapin.
//!
//! Each does the work an application would do (encode and decode JSON), and nothing that Garenne adds:
//! no correlation of returns, no supervision, no limits.

mod consume;
mod embedded;
mod load;
mod publish;

use clap::{Parser, Subcommand, ValueEnum};
use garenne_cli::measure::Measurement;

/// Raw lapin, for comparison.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One task, a window of confirms, publishes pipelined.
    Publish(Options),
    /// One consumer that awaits each ack.
    ConsumeAckEach(Options),
    /// One consumer that acks every 50th delivery with `multiple`.
    ConsumeAckBy50(Options),
    /// The embedded broker: its start, publishing and consuming.
    Embedded(embedded::EmbeddedOptions),
}

/// The options, as those of `garenne bench`.
#[derive(Debug, Clone, clap::Args)]
struct Options {
    /// The broker.
    #[arg(long, env = "AMQP_URL", hide_env_values = true)]
    url: String,
    /// The kind of queue.
    #[arg(long, value_enum, default_value_t = QueueKind::Quorum)]
    queue_kind: QueueKind,
    /// The size of an encoded body, in bytes.
    #[arg(long, default_value_t = 256)]
    size: u32,
    /// How many publishes may await their confirm.
    #[arg(long, default_value_t = 1000)]
    window: u32,
    /// How many deliveries may be outstanding.
    #[arg(long, default_value_t = 200)]
    prefetch: u16,
    /// How many messages.
    #[arg(long, default_value_t = 50_000)]
    count: u32,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum QueueKind {
    /// Replicated and on disk.
    Quorum,
    /// On one node.
    Classic,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (measured, json): (Measurement, bool) = match Cli::parse().what {
        What::Publish(options) => (publish::pipelined(&options).await?, options.json),
        What::ConsumeAckEach(options) => (consume::ack_each(&options).await?, options.json),
        What::ConsumeAckBy50(options) => (consume::ack_by_50(&options).await?, options.json),
        What::Embedded(options) => return embedded::run(&options).await,
    };
    Ok(measured.print(json)?)
}
