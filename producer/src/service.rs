//! The service around the library: arguments, input, accounting, signals. The only place that reads the environment.

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

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use garenne_transport::service::log_to;

use self::{args::Args, console::Console, run::Failure};

/// Exit code: every line that was read is confirmed.
const CONFIRMED: u8 = 0;
/// Exit code: some line is not confirmed, the input could not be read to its end, or no broker was reached.
const NOT_CONFIRMED: u8 = 1;

/// Runs the service and returns its exit code. Wrong usage exits with 2 here, as everywhere with clap.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::new();
    let writer = console.writer();
    log_to(move || writer.clone());
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&console, &format!("cannot start the runtime: {error}")),
    };
    let done = runtime.block_on(run::run(&args, &console));
    // A read of standard input cannot be cancelled: it must not hold up the exit.
    runtime.shutdown_timeout(Duration::ZERO);
    match done {
        Ok(summary) => {
            console.finish(&summary, args.json);
            ExitCode::from(if summary.is_complete() { CONFIRMED } else { NOT_CONFIRMED })
        }
        Err(Failure::Usage(message)) => {
            console.clear();
            Args::command().error(ErrorKind::ValueValidation, message).exit()
        }
        Err(Failure::Failed(message)) => fail(&console, &message),
    }
}

fn fail(console: &Console, message: &str) -> ExitCode {
    console.say(&format!("error: {message}"));
    ExitCode::from(NOT_CONFIRMED)
}
