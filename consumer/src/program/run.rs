//! One run: connect, read, report.

use std::{cell::Cell, pin::pin};

use garenne_transport::{
    Client, ErrorKind,
    service::{Signals, chain},
};
use tokio_util::sync::CancellationToken;

use super::{args::Args, output::Output, say, session::Session, summary::Summary};

/// The name of the service, part of the connection's name.
const SERVICE: &str = "consumer";

/// Why a run did not begin.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Something outside is.
    Failed(String),
}

/// A run that did begin.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) summary: Summary,
    /// Why it ended otherwise than it was asked to.
    pub(crate) failed: Option<String>,
}

/// Runs until as many as wanted are written, the queue is empty, or a signal comes.
pub(crate) async fn run(args: &Args) -> Result<Done, Failure> {
    let config = args.broker.config(SERVICE).map_err(|error| Failure::Usage(chain(&error)))?;
    let output = Output::open(args.out.as_deref()).map_err(Failure::Failed)?;
    let mut signals =
        Signals::listen().map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let client = tokio::select! {
        client = Client::connect(config) => client.map_err(|error| match error.kind() {
            ErrorKind::Config => Failure::Usage(chain(&error)),
            _ => Failure::Failed(chain(&error)),
        })?,
        () = signals.next() => return Err(Failure::Failed("stopped before a broker was reached; nothing was read".to_owned())),
    };
    let (summary, stop) = (Cell::default(), CancellationToken::new());
    let mut session = Session {
        client: &client,
        queue: &args.queue,
        prefetch: args.prefetch,
        left: args.max.unwrap_or(u64::MAX),
        until_empty: args.until_empty,
        output,
        summary: &summary,
        stop: &stop,
    };
    let outcome = {
        let mut reading = pin!(session.run());
        loop {
            tokio::select! {
                outcome = &mut reading => break Some(outcome),
                () = signals.next() => {
                    if stop.is_cancelled() {
                        break None;
                    }
                    stop.cancel();
                    say("stopped taking messages; a second signal stops at once");
                }
            }
        }
    };
    let summary = summary.get();
    let failed = match outcome {
        Some(outcome) => {
            client.close().await;
            outcome.err()
        }
        None => Some(format!(
            "stopped at once; {} messages were taken and not acknowledged, and are delivered again",
            summary.read - summary.written
        )),
    };
    Ok(Done { summary, failed })
}
