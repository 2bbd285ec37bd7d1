//! `garenne bench`: measures publishing or consuming through the typed API.

mod consume;
mod layers;
mod load;
mod publish;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use garenne::{QueueContract, prelude::*, shared::config::PublishConfig};

/// The options of `garenne bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Publishes typed messages with confirms.
    Publish(Options),
    /// Consumes typed messages from a queue that was filled before.
    Consume(Options),
}

/// The options of both measurements.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The broker, as `amqp://user:password@host:port/vhost`.
    #[arg(
        long,
        env = "AMQP_URL",
        hide_env_values = true,
        default_value = "amqp://guest:guest@localhost:5672"
    )]
    url: String,
    /// The kind of queue.
    #[arg(long, value_enum, default_value_t = QueueKind::Quorum)]
    queue_kind: QueueKind,
    /// The size of an encoded body, in bytes.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    size: u32,
    /// How many publishes may await their confirm.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    window: u32,
    /// How many deliveries may be outstanding.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    prefetch: u16,
    /// How many handlers run at once.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// How many layers that do nothing are around publishing, or around handling.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=100))]
    layers: u8,
    /// How many of a hundred messages fail at first, when consuming; they come again after 2 s.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(..=50))]
    failing: u8,
    /// Where failed messages wait; with it the queue is a quorum queue that has a retry policy, also if nothing fails.
    #[arg(long, value_enum)]
    retry: Option<RetryIn>,
    /// How many messages.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    count: u32,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// A kind of queue.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum QueueKind {
    /// Replicated and on disk.
    Quorum,
    /// On one node.
    Classic,
}

/// Where failed messages wait.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RetryIn {
    /// In the queue, where RabbitMQ 4.3 delays them.
    Queue,
    /// In a retry tier.
    Tier,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (measured, json) = match &args.what {
        What::Publish(options) => (publish::measure(options).await?, options.json),
        What::Consume(options) => (consume::measure(options).await?, options.json),
    };
    measured.print(json)?;
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// Connects, and declares a queue of this run's own that the broker deletes soon after.
    async fn prepare(&self) -> anyhow::Result<(Client, QueueContract)> {
        let mut publish = PublishConfig::default();
        publish.window = self.window as usize;
        let client = Client::connect(Config::from_url(&self.url)?.service("bench").publish(publish)).await?;
        let queue = QueueName::try_from(format!("garenne.bench.{}", Metadata::new_message_id()))?;
        let queue = load::queue(self, queue);
        let contract = queue.contract();
        client.apply(&Topology::new().queue(queue)).await?;
        Ok((client, contract))
    }
}
