//! What the ready-made programs share: arguments for the broker, signals, the log, exit codes. No library depends on it.

mod broker_args;
mod ending;
mod run;
mod signals;

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
};

use garenne_shared::Chain;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

pub use self::{
    broker_args::{BrokerArgs, secret},
    ending::{Ending, stop_timeout},
    run::{Done, Failure, run},
    signals::Signals,
};

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_LOG_FILTER: &str = "info";

/// Logs to this writer, which leads to standard error, from now on; in colour on a terminal. `RUST_LOG` says what; the default is `info`.
///
/// # Panics
///
/// Panics if the process has a log already.
pub fn log_to<W>(writer: W)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_LOG_FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(writer)
        .init();
}

/// Writes a line to a stream whose reader may be gone, which is no reason to fail.
pub fn write_line(mut to: impl Write, text: &str) {
    let _gone = writeln!(to, "{text}");
}

/// Returns an error with its causes, outermost first.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    Chain(error).to_string()
}
