//! Development tasks: `cargo demo` and `cargo xtask ..`. Run `cargo xtask help` for the list.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a development task talks to its user")]

mod api;
mod bench;
mod broker;
mod broker_command;
mod broker_image;
mod demo;
mod environment;
mod interrupt;
mod outages;
mod page;
mod process;
mod test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Development tasks of Garenne")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Checks everything: formatting, lints, documentation, invariants and every tier of tests
    Test(test::Options),
    /// Runs `garenne demo` on a broker that is started for it
    Demo(demo::Options),
    /// Measures Garenne beside hand-written loops of lapin and of the C client, and prints the table
    Bench(bench::Args),
    /// Counts the instructions of a message, and fails if they have grown by more than a tenth
    Instructions(bench::instructions::Args),
    /// Plays outages while a client publishes and consumes, and prints how soon it came back and what was lost
    Outages(outages::Args),
    /// Starts a broker, prints its URLs and keeps it until Ctrl-C
    Broker,
    /// Builds the RabbitMQ image from Debian's packages, where no registry can be reached
    BrokerImage,
    /// Checks the invariants that the source itself can show
    Tidy,
    /// Compares the public API of the libraries with what is recorded in docs/api
    Api(api::Options),
}

fn main() -> ExitCode {
    if let Some(result) = api::stand_in() {
        return ended(result);
    }
    interrupt::install();
    ended(run(Arguments::parse().task))
}

fn run(task: Task) -> Result<ExitCode> {
    match task {
        Task::Test(options) => test::run(&options),
        Task::Demo(options) => demo::run(&options),
        Task::Bench(args) => bench::run(&args),
        Task::Instructions(args) => bench::instructions::run(&args),
        Task::Outages(args) => outages::run(&args),
        Task::Broker => broker_command::run(),
        Task::BrokerImage => broker_image::build(&environment::image()).map(|()| ExitCode::SUCCESS),
        Task::Tidy => tidy::run(),
        Task::Api(options) => api::run(&options),
    }
}

fn ended(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        if interrupt::requested() { ExitCode::from(130) } else { ExitCode::FAILURE }
    })
}
