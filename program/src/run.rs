//! A program from its arguments to its exit code.

use std::{process::ExitCode, time::Duration};

use clap::{CommandFactory, error::ErrorKind};

use crate::Ending;

/// What wrong usage exits with, as everywhere with clap.
const USAGE: u8 = 2;

/// Why a run has no summary.
#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Something outside is.
    Failed(String),
    /// A signal came before anything was done.
    Stopped(String),
}

/// A run that has a summary.
#[derive(Debug)]
pub struct Done<S> {
    /// What was done.
    pub summary: S,
    /// How it ended.
    pub ending: Ending,
}

/// Runs a program with arguments of type `A` on a runtime of one thread, and returns its exit code.
///
/// `show` gets the summary, `say` lines for people.
pub fn run<A: CommandFactory, S>(
    program: impl Future<Output = Result<Done<S>, Failure>>,
    show: impl FnOnce(&S),
    say: impl Fn(&str),
) -> ExitCode {
    let fail = |message: &str| {
        say(&format!("error: {message}"));
        Ending::Failed.into()
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the runtime: {error}")),
    };
    let done = runtime.block_on(program);
    // A read of standard input, or a write whose reader is stuck, cannot be cancelled: it must not hold up the exit.
    runtime.shutdown_timeout(Duration::ZERO);
    match done {
        Ok(Done { summary, ending }) => {
            show(&summary);
            ending.into()
        }
        Err(Failure::Usage(message)) => {
            let usage = A::command().error(ErrorKind::ValueValidation, message).to_string();
            say(usage.trim_end());
            ExitCode::from(USAGE)
        }
        Err(Failure::Failed(message)) => fail(&message),
        Err(Failure::Stopped(message)) => {
            say(&message);
            Ending::HandedBack.into()
        }
    }
}
