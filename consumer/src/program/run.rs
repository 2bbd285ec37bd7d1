//! One run: connect, read, report.

use std::{cell::Cell, pin::pin, time::Duration};

use garenne_program::{Done, Ending, Failure, Signals, chain};
use garenne_transport::{Client, ErrorKind};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{args::Args, begin::Begin, output::Output, say, session::Session, summary::Summary};

/// The name of the service, part of the connection's name.
const SERVICE: &str = "consumer";

/// How long the broker may take to close the connections, when everything is acknowledged.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Runs until as many as wanted are written, the queue is empty, or a signal comes.
pub(crate) async fn run(args: &Args) -> Result<Done<Summary>, Failure> {
    let config = args.broker.config(SERVICE).map_err(|error| Failure::Usage(chain(&error)))?;
    if args.until_empty && args.from.is_some_and(Begin::is_next) {
        return Err(Failure::Usage(
            "`--until-empty` ends where `--from next` begins: nothing would be read".to_owned(),
        ));
    }
    let output = Output::open(args.out.as_deref()).map_err(Failure::Failed)?;
    let mut signals =
        Signals::listen().map_err(|error| Failure::Failed(format!("cannot listen for signals: {error}")))?;
    let client = tokio::select! {
        client = Client::connect(config) => client.map_err(|error| match error.kind() {
            ErrorKind::Config => Failure::Usage(chain(&error)),
            _ => Failure::Failed(chain(&error)),
        })?,
        () = signals.next() => return Err(Failure::Stopped("stopped before a broker was reached; nothing was read".to_owned())),
    };
    let (summary, stop) = (Cell::default(), CancellationToken::new());
    let mut session = Session {
        client: &client,
        queue: &args.queue,
        prefetch: args.prefetch,
        left: args.max.unwrap_or(u64::MAX),
        until_empty: args.until_empty,
        from: args.from,
        is_queue: false,
        output,
        summary: &summary,
        stop: &stop,
    };
    let ended = {
        let mut reading = pin!(session.run_from());
        let mut limit = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                outcome = &mut reading => break Ended::Read(outcome),
                () = &mut limit, if stop.is_cancelled() => break Ended::TimedOut,
                () = signals.next() => {
                    if stop.is_cancelled() {
                        break Ended::Forced;
                    }
                    stop.cancel();
                    limit.as_mut().reset(Instant::now() + args.stop_timeout);
                    say("stopped taking messages; a second signal stops at once");
                }
            }
        }
    };
    let summary = summary.get();
    let left = summary.read - summary.written;
    let ending = match ended {
        Ended::Read(outcome) => {
            tokio::select! {
                () = client.close() => {}
                () = sleep(CLOSE_LIMIT) => {}
                () = signals.next() => {}
            }
            match outcome {
                Ok(()) => Ending::Clean,
                Err(message) => {
                    say(&format!("error: {message}"));
                    Ending::Failed
                }
            }
        }
        Ended::TimedOut => {
            say(&format!(
                "not done within `--stop-timeout`; the broker delivers again what was not acknowledged (messages: {left})"
            ));
            Ending::HandedBack
        }
        Ended::Forced => {
            say(&format!(
                "stopped at once; the broker delivers again what was not acknowledged (messages: {left})"
            ));
            Ending::Forced
        }
    };
    Ok(Done { summary, ending })
}

/// How the reading ended.
#[derive(Debug)]
enum Ended {
    /// As it was asked to, or with an error.
    Read(Result<(), String>),
    /// Not in time after a signal.
    TimedOut,
    /// By a second signal.
    Forced,
}
