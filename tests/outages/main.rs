//! Plays outages and prints what came of them as a table; `cargo xtask outages` builds and runs it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a development task talks to its user")]

use std::process::ExitCode;

use clap::Parser;
use garenne_tests::outages::{Book, Outage, Plan, Single, Trio, play, table};
use garenne_tests::{Vhost, log};
use tracing::level_filters::LevelFilter;

/// Plays outages while a client publishes and consumes, and prints a table.
#[derive(Debug, Parser)]
struct Args {
    /// The same seed gives the same outages in the same order.
    #[arg(long)]
    seed: u64,
    /// How many outages.
    #[arg(long)]
    count: usize,
    /// On the embedded broker.
    #[arg(long, conflicts_with = "cluster")]
    embedded: bool,
    /// On a cluster of three nodes.
    #[arg(long)]
    cluster: bool,
    /// Every outage as short as it can be.
    #[arg(long)]
    short: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    // Half an hour of every frame would be gigabytes.
    log::install_up_to(LevelFilter::INFO);
    let plan = Plan { seed: args.seed, count: args.count, short: args.short };
    let mut played = 0;
    let tell = |outage: &Outage| {
        played += 1;
        eprintln!("{played}/{}: {outage}", plan.count);
    };
    let book = if args.cluster {
        play(&Box::pin(Trio::start()).await, plan, tell).await
    } else if args.embedded {
        play(&Single::on(Vhost::embedded().await).await, plan, tell).await
    } else {
        play(&Single::own().await, plan, tell).await
    };
    for untruth in book.untruths().iter().take(20) {
        eprintln!("wrong: {untruth}");
    }
    println!("{}", table(&book));
    if is_clean(&book) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn is_clean(book: &Book) -> bool {
    book.lost() + book.stuck() + book.wrong() == 0 && book.without_end().is_empty()
}
