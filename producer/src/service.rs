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
mod signals;
mod template;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use garenne_transport::DEFAULT_LOG_FILTER;
use tracing_subscriber::EnvFilter;

use self::{args::Args, console::Console, run::Failure};

/// Exit code: every line that was read is confirmed.
const CONFIRMED: u8 = 0;
/// Exit code: some line is not confirmed, the input could not be read to its end, or no broker was reached.
const NOT_CONFIRMED: u8 = 1;

/// Runs the service and returns its exit code. Wrong usage exits with 2 here, as everywhere with clap.
pub(crate) fn main() -> ExitCode {
    let args = Args::parse();
    let console = Console::new();
    log_to(&console);
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

/// Logs to standard error, around the progress bar. `RUST_LOG` overrides the filter.
fn log_to(console: &Console) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG_FILTER));
    let guard = garenne_transport::LOG_FILTER_GUARD.parse().expect("the guard is a valid directive");
    let filter = filter.add_directive(guard);
    let writer = console.writer();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(move || writer.clone())
        .init();
}

/// Writes a line to a stream whose reader may be gone, which is no reason to fail.
fn write_line(mut to: impl Write, text: &str) {
    let _gone = writeln!(to, "{text}");
}
