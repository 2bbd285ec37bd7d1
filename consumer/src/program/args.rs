//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use garenne_program::{BrokerArgs, stop_timeout};
use garenne_shared::QueueName;

use super::begin::Begin;

/// Reads a queue and writes NDJSON: one message a line, acknowledged only once its line is flushed.
///
/// Killed at any point it loses nothing: what was not acknowledged is delivered again, so that a line may come twice.
#[derive(Parser)]
#[command(name = "consumer", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,

    /// The queue to read; it must exist.
    #[arg(long)]
    pub(crate) queue: QueueName,

    /// The file to append to, made if there is none. The default is standard output.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,

    /// End when the queue is empty and everything taken is acknowledged; of a stream, at the end that it had at the start.
    #[arg(long)]
    pub(crate) until_empty: bool,

    /// Where to begin in a stream: `first`, `last`, `next`, an offset, or a time such as `2026-11-30T12:00:00Z`.
    #[arg(long, value_name = "PLACE")]
    pub(crate) from: Option<Begin>,

    /// End after this many messages; what the broker sent beyond is handed back, and does not count as a delivery.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max: Option<u64>,

    /// How long to wait after a signal for what was taken to be written and acknowledged, such as `25s`.
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = stop_timeout)]
    pub(crate) stop_timeout: Duration,

    /// How many messages the broker may send ahead of their acknowledgement.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) prefetch: u16,
}

const AFTER_HELP: &str = "\
Records: message_id, type, exchange, routing_key, redelivered, headers, and body, or body_base64 if the body is not JSON.
  A body of JSON stands as it was published, but for line breaks between its tokens, which become spaces.

Flushed: given to the system on standard output; on the disk with --out, synced once for all messages that were ready together.
  The file is locked, so that two do not append to it at once. The torn last line of a run that was killed is cut off: its
  message was not acknowledged.

Empty: nothing is ready in the queue and nothing in our hands. What other consumers have not acknowledged does not count.

Streams: nothing is taken out of a stream, so every run says where to begin; without --from it waits for what comes next, and
  --until-empty is refused. `last` begins with the last chunk of messages, a time with the chunk that holds it.

Signals: the first SIGINT or SIGTERM takes no more, flushes and acknowledges what was taken, for at most --stop-timeout; the second
  stops at once. Signals within a second are one.

Summary: read are messages taken, written those flushed and acknowledged, redelivered those written that the broker had
  delivered before.

Exit codes:
  0  ended by --max, --until-empty or a signal, and everything taken is written and acknowledged
  1  the output or the queue failed, or no broker was reached
  2  wrong usage
  3  a signal ended it, and what was taken is handed back: it was not written within --stop-timeout, or no broker was reached yet
  4  a second signal ended it at once";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_refused() {
        for wrong in [
            &["--max", "0"][..],
            &["--prefetch", "0"],
            &["--cert-file", "cert.pem"],
            &["--from", "start"],
            &["billing"],
        ] {
            let args = ["consumer", "--queue", "billing"].iter().chain(wrong);
            let error = Args::try_parse_from(args).err().unwrap_or_else(|| panic!("{wrong:?} was accepted"));
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
