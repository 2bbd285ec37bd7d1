//! The program around the library: arguments, input, accounting. The only place that reads the environment.

mod account;
mod addressing;
mod args;
mod console;
mod input;
mod ledger;
mod lines;
mod object;
mod rejects;
mod run;
mod template;

use std::process::ExitCode;

use clap::Parser;
use garenne_program::log_to;

use self::{args::Args, console::Console};

/// Runs the service and returns its exit code.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::new();
    let writer = console.writer();
    log_to(move || writer.clone());
    let running = run::run(&args, &console);
    garenne_program::run::<Args, _>(
        running,
        |summary| console.finish(summary, args.json),
        |line| console.say(line),
    )
}
