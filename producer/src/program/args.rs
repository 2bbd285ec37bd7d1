//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;
use garenne_program::{BrokerArgs, stop_timeout};
use garenne_shared::{ExchangeName, MessageType};

use super::template::Template;

/// Publishes NDJSON to RabbitMQ: one message a line, every one confirmed by the broker and routed to a queue.
///
/// The body of a message is its line, byte for byte, as `application/json`. Empty lines are skipped, and so is a byte-order mark at
/// the beginning of an input; a line may end with CRLF.
/// A line that is no JSON, lacks a templated field or is too large is reported and does not stop the rest.
#[derive(Parser)]
#[command(name = "producer", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) broker: BrokerArgs,

    /// The exchange to publish to. Empty is the default exchange, whose key is a queue's name.
    #[arg(long)]
    pub(crate) exchange: ExchangeName,

    /// The routing key; a template.
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEMPLATE")]
    pub(crate) key: Template,

    /// The message type (AMQP property `type`), such as `order.placed.v1`.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) message_type: Option<MessageType>,

    /// A header; its value is a template and becomes text. May be repeated.
    #[arg(long = "header", value_name = "NAME=TEMPLATE", value_parser = header)]
    pub(crate) headers: Vec<(String, Template)>,

    /// The message id; a template with at least one field. The default is a fresh UUID v7 for each line.
    #[arg(long, value_name = "TEMPLATE", value_parser = message_id)]
    pub(crate) message_id: Option<Template>,

    /// The name of the service (AMQP property `app_id`), also part of the connection's name.
    #[arg(long, value_name = "NAME", default_value = "producer")]
    pub(crate) app_id: String,

    /// Let the broker keep the messages in memory only, where the queue allows it.
    #[arg(long)]
    pub(crate) transient: bool,

    /// How many messages may await their confirm.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) window: u32,

    /// How many messages to publish a second at most. The default is no limit.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,

    /// How many seconds a line that was refused or whose confirm did not come is tried again.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) retry_for: u32,

    /// How long to wait after a signal for what is in flight, such as `25s`.
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = stop_timeout)]
    pub(crate) stop_timeout: Duration,

    /// Write every line that was not confirmed to this file, as NDJSON: `line`, `reason`, `body`.
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,

    /// Write the summary as one JSON object to standard output, instead of a line on standard error.
    #[arg(long)]
    pub(crate) json: bool,

    /// The files to read; `-` or none is standard input.
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

const AFTER_HELP: &str = "\
Templates: `order.placed.{region}` takes the field `region` of the line, `{customer.country}` a field of an object in it.
  Text, numbers and truth values can be taken, numbers as they are written. `{{` and `}}` stand for the braces themselves.

Summary: read = confirmed + unroutable + nacked + unknown + malformed + unsent.
  unroutable  no queue took it, or the exchange does not exist
  nacked      the broker refused it, and the retries
  unknown     no confirm came: it may or may not be stored
  malformed   not JSON, a templated field missing or unfit, or too large; not sent
  unsent      not sent because the broker blocked publishers

Signals: the first SIGINT or SIGTERM stops reading and waits for what is in flight, at most --stop-timeout; then, or at a second
  signal, what is in flight is told as unknown. Signals within a second are one.

Exit codes:
  0  every line is confirmed and the input was read to its end
  1  some line is not confirmed, the input could not be read, or no broker was reached
  2  wrong usage
  3  a signal ended it: the input was not read to its end, or some line is not confirmed
  4  a second signal ended it at once";

fn header(text: &str) -> Result<(String, Template), String> {
    let (name, template) = text.split_once('=').ok_or("write NAME=TEMPLATE")?;
    if name.is_empty() || name.len() > 255 {
        return Err(format!("a header name has 1 to 255 bytes, but this one has {}", name.len()));
    }
    Ok((name.to_owned(), template.parse().map_err(|error| format!("{error}"))?))
}

fn message_id(text: &str) -> Result<Template, String> {
    let template: Template = text.parse().map_err(|error| format!("{error}"))?;
    if template.literal().is_some() {
        return Err("every message needs an id of its own; use a field, such as {id}".to_owned());
    }
    Ok(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_refused_before_anything_is_read() {
        for wrong in [
            &["--key", "{region"][..],
            &["--header", "tenant"],
            &["--header", "=x"],
            &["--message-id", "same-for-all"],
            &["--window", "0"],
            &["--rate", "0"],
            &["--cert-file", "cert.pem"],
        ] {
            let args = ["producer", "--exchange", "orders"].iter().chain(wrong);
            let error = Args::try_parse_from(args).err().unwrap_or_else(|| panic!("{wrong:?} was accepted"));
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }
}
