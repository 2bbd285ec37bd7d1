//! The program around the transport: arguments, records, output. The only place that reads the environment.

mod args;
mod begin;
mod output;
mod record;
mod repair;
mod run;
mod session;
mod stream;
mod summary;

use std::{io, process::ExitCode};

use clap::Parser;
use garenne_program::{log_to, write_line};

use self::args::Args;

/// Runs the service and returns its exit code.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    log_to(io::stderr);
    garenne_program::run::<Args, _>(run::run(&args), |summary| say(&summary.to_string()), say)
}

/// Writes a line to standard error.
fn say(line: &str) {
    write_line(io::stderr(), line);
}
