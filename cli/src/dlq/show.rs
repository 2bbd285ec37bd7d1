//! `garenne dlq show` and `garenne dlq group`.

use std::process::ExitCode;

use clap::ValueEnum;
use garenne::{
    HeaderValue,
    deadletter::{DeadLetter, GroupBy, Groups, Record},
};
use serde_json::json;

use super::{NOT_ALL, Session, Target, select::Select, tell_short, text};

/// The most of a body that is shown, in bytes.
const BODY_MAX: usize = 4096;

/// The options of `garenne dlq show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    select: Select,
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    limit: u64,
    /// Shows each message whole: error, headers, body.
    #[arg(long)]
    full: bool,
    /// Prints one JSON object a line, as `garenne dlq export` does.
    #[arg(long, conflicts_with = "full")]
    json: bool,
}

/// The options of `garenne dlq group`.
#[derive(Debug, clap::Args)]
pub(super) struct GroupArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    select: Select,
    /// What to count by.
    #[arg(long, value_enum, default_value_t = By::Fingerprint)]
    by: By,
    /// Prints one JSON object a line.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    /// Message type, end and error, without what varies.
    Fingerprint,
    /// The message type.
    Type,
    /// How they came here.
    End,
    /// The queue that they came from.
    Queue,
}

pub(super) async fn show(args: ShowArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.target).await?;
    let filter = args.select.filter();
    let ((letters, looked), stopped) = session.run(session.dead.look(&filter, args.limit)).await?;
    session.client.close().await;
    if args.json {
        letters.iter().map(Record::of).try_for_each(|record| text::json(&record))?;
    } else if args.full {
        letters.iter().try_for_each(|letter| text::print(&whole(letter)))?;
    } else if letters.is_empty() {
        text::print("no dead letter was found")?;
    } else {
        text::print(&table(&letters))?;
    }
    tell_short(&args.target.queue, &looked);
    Ok(if stopped { ExitCode::from(NOT_ALL) } else { ExitCode::SUCCESS })
}

pub(super) async fn group(args: GroupArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.target).await?;
    let by = match args.by {
        By::Fingerprint => GroupBy::Fingerprint,
        By::Type => GroupBy::Type,
        By::End => GroupBy::End,
        By::Queue => GroupBy::Origin,
    };
    let (filter, mut groups) = (args.select.filter(), Groups::by(by));
    let (looked, stopped) =
        session.run(session.dead.each(&filter, None, |letter| groups.add(&letter))).await?;
    session.client.close().await;
    let mut table = text::table(&["messages", "key", "type", "end", "last", "queues", "error"]);
    for group in groups.into_groups() {
        if args.json {
            text::json(&json!({
                "key": group.key, "count": group.count, "type": group.message_type, "end": group.end, "error": group.error,
                "origins": group.origins,
            }))?;
            continue;
        }
        table.add_row([
            group.count.to_string(),
            text::short(&group.key, 40),
            text::short(&group.message_type, 40),
            text::short(&group.end, 30),
            text::ago(group.last),
            group.origins.to_string(),
            text::short(group.error.as_deref().unwrap_or("-"), 80),
        ]);
    }
    if !args.json {
        let empty = table.row_iter().next().is_none();
        text::print(&if empty { "no dead letter was found".to_owned() } else { table.to_string() })?;
    }
    tell_short(&args.target.queue, &looked);
    Ok(if stopped { ExitCode::from(NOT_ALL) } else { ExitCode::SUCCESS })
}

fn table(letters: &[DeadLetter]) -> String {
    let mut table =
        text::table(&["message id", "type", "end", "from", "attempts", "replays", "age", "error"]);
    for letter in letters {
        table.add_row([
            text::short(letter.id().unwrap_or("-"), 40),
            text::short(letter.message_type(), 40),
            text::short(letter.end.as_str(), 30),
            letter.origin().map_or_else(|| "?".to_owned(), |origin| text::short(origin.as_str(), 40)),
            letter.attempts().map_or_else(|| "?".to_owned(), |attempts| attempts.to_string()),
            letter.replays().to_string(),
            text::ago(letter.ended_at()),
            text::short(letter.error().unwrap_or("-"), 80),
        ]);
    }
    table.to_string()
}

/// Shows all that there is of a message.
fn whole(letter: &DeadLetter) -> String {
    let metadata = &letter.message.metadata;
    let mut lines = vec![format!("=== {}", text::clean(letter.id().unwrap_or("without a message id")))];
    let mut line = |name: &str, value: &str| lines.push(format!("{name:<14} {}", text::clean(value)));
    line("type", letter.message_type());
    line("content type", metadata.content_type.as_deref().unwrap_or("-"));
    line("end", letter.end.as_str());
    line("fingerprint", &letter.fingerprint());
    line("from", letter.origin().as_ref().map_or("?", |origin| origin.as_str()));
    line("age", &text::ago(letter.ended_at()));
    line("error", letter.error().unwrap_or("-"));
    for source in letter.error_chain() {
        line("  because of", source);
    }
    for (name, value) in metadata.headers.iter() {
        line("header", &format!("{name} = {}", shown(value)));
    }
    let body = &letter.message.body;
    let part = &body[..body.len().min(BODY_MAX)];
    let more = if part.len() < body.len() { format!(" (the first {BODY_MAX})") } else { String::new() };
    line("body", &format!("{} bytes{more}", body.len()));
    // Lines of a body are its own; other control characters are not shown.
    let escaped = garenne::shared::escape(part);
    lines.extend(escaped.lines().map(|line| format!("    {}", text::clean(line))));
    lines.join("\n")
}

fn shown(value: &HeaderValue) -> String {
    match value {
        HeaderValue::Text(text) => text.clone(),
        other => serde_json::to_string(other).unwrap_or_else(|_| format!("{other:?}")),
    }
}
