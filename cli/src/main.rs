//! The binary `garenne`: the demo, the embedded broker, the benchmarks, dead letters, and topologies explained.

mod bench;
mod broker;
mod demo;
mod dlq;
mod topology;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Garenne on the command line.
#[derive(Debug, Parser)]
#[command(name = "garenne", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs an order flow through a broker while its connections are cut, and accounts for every message.
    Demo(demo::Args),
    /// Runs the embedded broker, in memory, for development and tests with clients of any language.
    Broker(broker::Args),
    /// Measures publishing or consuming through the typed API.
    Bench(bench::Args),
    /// Looks at dead letters, replays, discards and exports them.
    Dlq(Box<dlq::Args>),
    /// Explains a topology file.
    Topology(topology::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr();
    let outcome = match cli.command {
        Command::Demo(args) => demo::run(args).await,
        Command::Broker(args) => broker::run(args).await,
        Command::Bench(args) => bench::run(args).await,
        Command::Dlq(args) => dlq::run(*args).await,
        Command::Topology(args) => topology::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        #[expect(clippy::print_stderr, reason = "the one place where this binary reports why it failed")]
        {
            eprintln!("error: {error:#}");
        }
        ExitCode::FAILURE
    })
}

/// Logs to standard error by `RUST_LOG`; unless set, only errors of our own, because the live view tells the rest.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
