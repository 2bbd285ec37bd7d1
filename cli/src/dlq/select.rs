//! Which dead letters are meant, on the command line.

use std::time::Duration;

use garenne::deadletter::Filter;

/// How a message may have come to its dead-letter queue.
const ENDS: [&str; 12] = [
    "handler",
    "panic",
    "timeout",
    "undecodable",
    "unknown-type",
    "unknown-content-type",
    "publish",
    "delivery-limit",
    "expired",
    "max-length",
    "rejected",
    "unknown",
];

/// Which dead letters are meant: those for which all that is given holds.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Which messages")]
pub(super) struct Select {
    /// The message id; may be given several times.
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// The fingerprint, or its beginning, as `garenne dlq group` shows it.
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    fingerprint: Option<String>,
    /// The message type.
    #[arg(long = "type", value_name = "TYPE")]
    message_type: Option<String>,
    /// How it came here.
    #[arg(long, value_name = "END", value_parser = ENDS)]
    end: Option<String>,
    /// The queue that it came from.
    #[arg(long, value_name = "QUEUE")]
    origin: Option<String>,
    /// A text that the error contains, in any case.
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// A header and its value; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = header)]
    header: Vec<(String, String)>,
    /// Given up at least so long ago, such as `2h`.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    older_than: Option<Duration>,
    /// Given up at most so long ago.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    newer_than: Option<Duration>,
}

// === impl Select ===

impl Select {
    /// Returns whether nothing is given, so that all are meant.
    pub(super) fn is_all(&self) -> bool {
        self.filter() == Filter::new()
    }

    pub(super) fn filter(&self) -> Filter {
        let mut filter = Filter::new();
        for id in &self.id {
            filter = filter.id(id);
        }
        for (name, value) in &self.header {
            filter = filter.header(name, value);
        }
        let set = |filter: Filter, text: &Option<String>, set: fn(Filter, String) -> Filter| match text {
            Some(text) => set(filter, text.clone()),
            None => filter,
        };
        filter = set(filter, &self.fingerprint, Filter::fingerprint);
        filter = set(filter, &self.message_type, Filter::message_type);
        filter = set(filter, &self.end, Filter::end);
        filter = set(filter, &self.origin, Filter::origin);
        filter = set(filter, &self.text, Filter::text);
        if let Some(age) = self.older_than {
            filter = filter.older_than(age);
        }
        if let Some(age) = self.newer_than {
            filter = filter.newer_than(age);
        }
        filter
    }
}

fn fingerprint(text: &str) -> Result<String, String> {
    let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_one {
        Ok(text.to_lowercase())
    } else {
        Err("a fingerprint is made of hexadecimal digits".to_owned())
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a header is given as NAME=VALUE, such as tenant=t1")?;
    Ok((name.to_owned(), value.to_owned()))
}
