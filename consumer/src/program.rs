//! The program around the transport: arguments, records, output, signals. The only place that reads the environment.

mod args;
mod begin;

mod output;
mod record;
mod repair;
mod run;
mod session;
mod stream;
mod summary;

use std::{io, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use garenne_transport::service::{Ending, log_to, write_line};

use self::{
    args::Args,
    run::{Done, Failure},
};

/// Runs the service and returns its exit code. Wrong usage exits with 2 here, as everywhere with clap.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    log_to(io::stderr);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    let done = runtime.block_on(run::run(&args));
    // A write whose reader is stuck cannot be cancelled: it must not hold up the exit.
    runtime.shutdown_timeout(Duration::ZERO);
    match done {
        Ok(Done { summary, ending }) => {
            say(&summary.to_string());
            ending.into()
        }
        Err(Failure::Usage(message)) => Args::command().error(ErrorKind::ValueValidation, message).exit(),
        Err(Failure::Failed(message)) => fail(&message),
        Err(Failure::Stopped(message)) => {
            say(&message);
            Ending::HandedBack.into()
        }
    }
}

fn fail(message: &str) -> ExitCode {
    say(&format!("error: {message}"));
    Ending::Failed.into()
}

/// Writes a line to standard error.
fn say(line: &str) {
    write_line(io::stderr(), line);
}
