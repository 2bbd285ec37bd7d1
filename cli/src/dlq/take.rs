//! `garenne dlq replay` and `garenne dlq discard`.

use std::{
    fs::File,
    io::{BufRead as _, IsTerminal as _, Write as _},
    num::NonZeroU32,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context as _, bail, ensure};
use garenne::{
    QueueName,
    deadletter::{Record, Replay, Summary},
};
use serde_json::json;

use super::{Session, Target, edit, exit_code, queue_name, select::Select, tell_short, text, wrong_usage};

/// Which messages are taken: none unless it is said.
#[derive(Debug, clap::Args)]
struct Which {
    #[command(flatten)]
    select: Select,
    /// Means every message in the queue; needed if nothing else says which are meant.
    #[arg(long)]
    all: bool,
    /// How many at most.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
}

/// The options of `garenne dlq replay`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    which: Which,
    /// Publishes to this queue instead of those that the messages came from.
    #[arg(long, value_name = "QUEUE", value_parser = queue_name)]
    to: Option<QueueName>,
    /// How many in a second.
    #[arg(long, value_name = "COUNT")]
    rate: Option<NonZeroU32>,
    /// How often a message may be replayed in all; beyond, it goes to the queue `QUEUE.parked`.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    max_replays: u32,
    /// Only tells what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Opens each message in `$VISUAL` or `$EDITOR` before it is published.
    #[arg(long)]
    edit: bool,
    /// Prints the outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

/// The options of `garenne dlq discard`.
#[derive(Debug, clap::Args)]
pub(super) struct DiscardArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    which: Which,
    /// Writes each message to this file before it is removed.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
    /// Does not ask.
    #[arg(long)]
    yes: bool,
    /// Prints the outcome as one JSON object.
    #[arg(long)]
    json: bool,
}

// === impl Which ===

impl Which {
    fn is_unsaid(&self) -> bool {
        !self.all && self.select.is_all()
    }
}

pub(super) async fn replay(args: ReplayArgs) -> anyhow::Result<ExitCode> {
    if args.which.is_unsaid() {
        return wrong_usage(
            "say which messages are meant, such as `--fingerprint`, or `--all`; `--dry-run` only tells",
        );
    }
    let session = Session::open(&args.target).await?;
    let mut replay = match &args.to {
        Some(queue) => Replay::to(queue.clone()),
        None => Replay::to_origin(),
    };
    replay = replay.filter(args.which.select.filter()).max_replays(args.max_replays).dry_run(args.dry_run);
    if let Some(limit) = args.which.limit {
        replay = replay.limit(limit);
    }
    if let Some(rate) = args.rate {
        replay = replay.rate(rate);
    }
    if args.edit {
        let bar = session.bar.clone();
        replay = replay.edit(move |_, copy| bar.suspend(|| edit::edit(&copy)));
    }
    let (summary, stopped) = session.run(session.dead.replay(replay)).await?;
    session.client.close().await;
    let verb = if args.dry_run { "would be replayed" } else { "replayed" };
    tell(&args.target.queue, &summary, verb, args.json)?;
    Ok(exit_code(&summary, stopped))
}

pub(super) async fn discard(args: DiscardArgs) -> anyhow::Result<ExitCode> {
    if args.which.is_unsaid() {
        return wrong_usage("say which messages are meant, such as `--fingerprint`, or `--all`");
    }
    if !args.yes && !std::io::stdin().is_terminal() {
        return wrong_usage("nobody can be asked here; `--yes` discards without asking");
    }
    let session = Session::open(&args.target).await?;
    if !args.yes {
        confirm(&args, &session).await?;
    }
    let mut file = None;
    let filter = args.which.select.filter();
    if let Some(path) = args.export.as_ref().filter(|path| path.exists()) {
        bail!("{} is there already, and is not overwritten", path.display());
    }
    let save = |letter: &garenne::deadletter::DeadLetter| {
        let Some(path) = &args.export else { return Ok(()) };
        // Only with something to write.
        let file = match &mut file {
            Some(file) => file,
            none @ None => none.insert(File::create_new(path)?),
        };
        serde_json::to_writer(&mut *file, &Record::of(letter))?;
        file.write_all(b"\n")?;
        file.sync_data()
    };
    let (summary, stopped) = session.run(session.dead.discard(&filter, args.which.limit, save)).await?;
    session.client.close().await;
    tell(&args.target.queue, &summary, "discarded", args.json)?;
    Ok(exit_code(&summary, stopped))
}

/// Opens a file for an export; one that is there is not overwritten.
pub(super) fn open(path: &PathBuf) -> anyhow::Result<File> {
    File::create_new(path).with_context(|| format!("cannot make the file {}", path.display()))
}

/// Counts what is meant, and asks.
async fn confirm(args: &DiscardArgs, session: &Session) -> anyhow::Result<()> {
    let mut count = 0_u64;
    let filter = args.which.select.filter();
    session.run(session.dead.each(&filter, args.which.limit, |_| count += 1)).await?;
    ensure!(count > 0, "no dead letter was found");
    let mut error = std::io::stderr().lock();
    write!(
        error,
        "Discard {count} messages of {} for good? Type their number to go on: ",
        args.target.queue
    )?;
    error.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if answer.trim() != count.to_string() {
        bail!("nothing was discarded");
    }
    Ok(())
}

fn tell(queue: &QueueName, summary: &Summary, verb: &str, as_json: bool) -> anyhow::Result<()> {
    let Summary { selected, removed, parked, kept, reasons, parking_queue, looked, .. } = summary;
    if as_json {
        let reasons: Vec<_> =
            reasons.iter().map(|kept| json!({ "id": kept.id, "reason": kept.reason })).collect();
        text::json(&json!({
            "selected": selected, "removed": removed, "parked": parked, "kept": kept, "reasons": reasons,
            "ready": looked.ready, "seen": looked.seen,
        }))?;
    } else {
        text::print(&format!("{removed} of {selected} messages {verb}"))?;
        if let Some(queue) = parking_queue {
            text::print(&format!("{parked} were replayed too often, and go to {queue}"))?;
        }
        if *kept > 0 {
            text::print(&format!("{kept} stay where they are:"))?;
        }
        for kept in reasons {
            let id = text::short(kept.id.as_deref().unwrap_or("without a message id"), 60);
            text::print(&format!("  {id}: {}", text::short(&kept.reason, 300)))?;
        }
    }
    tell_short(queue, looked);
    Ok(())
}
