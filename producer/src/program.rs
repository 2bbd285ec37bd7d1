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
use garenne_transport::service::{Ending, log_to};

use self::{
    args::Args,
    console::Console,
    run::{Done, Failure},
};

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
        Ok(Done { summary, ending }) => {
            console.finish(&summary, args.json);
            ending.into()
        }
        Err(Failure::Usage(message)) => {
            console.clear();
            Args::command().error(ErrorKind::ValueValidation, message).exit()
        }
        Err(Failure::Failed(message)) => fail(&console, &message),
        Err(Failure::Stopped(message)) => {
            console.say(&message);
            Ending::HandedBack.into()
        }
    }
}

fn fail(console: &Console, message: &str) -> ExitCode {
    console.say(&format!("error: {message}"));
    Ending::Failed.into()
}
