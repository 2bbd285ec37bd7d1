//! `garenne dlq`: dead letters, looked at, replayed, discarded, exported. The library `garenne::deadletter` does the work.

mod edit;
mod find;
mod list;
mod port;
mod select;
mod show;
mod take;
mod text;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use garenne::{
    Client, QueueName,
    deadletter::{DeadLetterError, DeadLetters, Looked, Short, Summary},
};
use garenne_program::{BrokerArgs, Signals};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Something that was selected could not be done, or a signal ended it before the end.
const NOT_ALL: u8 = 3;

/// As clap has it.
const WRONG_USAGE: u8 = 2;

/// The options of `garenne dlq`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes:\n  \
    0  done\n  \
    1  the broker or a file failed; what was done is done\n  \
    2  wrong usage\n  \
    3  something selected stays or was parked, or a signal ended it early")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lists dead-letter queues: how much is in them, since when, and why.
    List(list::Args),
    /// Shows dead letters; they stay where they are.
    Show(show::ShowArgs),
    /// Counts dead letters by what they have in common.
    Group(show::GroupArgs),
    /// Publishes dead letters again, to the queues that they came from or to another.
    Replay(take::ReplayArgs),
    /// Removes dead letters for good.
    Discard(take::DiscardArgs),
    /// Writes dead letters as NDJSON; they stay where they are.
    Export(port::ExportArgs),
    /// Publishes what was exported.
    Import(port::ImportArgs),
}

/// The broker and the queue.
#[derive(Debug, clap::Args)]
struct Target {
    /// The dead-letter queue, such as `billing.dlq`.
    #[arg(value_name = "QUEUE", value_parser = queue_name)]
    queue: QueueName,
    #[command(flatten)]
    broker: BrokerArgs,
}

/// What a command works with: the queue, and a progress bar where standard error is a terminal.
struct Session {
    client: Client,
    dead: DeadLetters,
    bar: ProgressBar,
}

/// Runs the command.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::List(args) => list::run(args).await,
        What::Show(args) => show::show(args).await,
        What::Group(args) => show::group(args).await,
        What::Replay(args) => take::replay(args).await,
        What::Discard(args) => take::discard(args).await,
        What::Export(args) => port::export(args).await,
        What::Import(args) => port::import(args).await,
    }
}

async fn connect(broker: &BrokerArgs) -> anyhow::Result<Client> {
    let config = broker.config("garenne-dlq")?;
    Client::connect(config).await.context("cannot connect")
}

// === impl Session ===

impl Session {
    async fn open(target: &Target) -> anyhow::Result<Self> {
        let client = connect(&target.broker).await?;
        let bar = progress_bar();
        let shown = bar.clone();
        let dead = DeadLetters::new(&client, target.queue.clone()).progress(move |seen, of| {
            shown.set_length(of);
            shown.set_position(seen);
        });
        Ok(Self { client, dead, bar })
    }

    /// Runs an operation on the queue; a signal ends it in order, a second one at once. Returns whether a signal came.
    async fn run<T>(
        &self,
        operation: impl Future<Output = Result<T, DeadLetterError>>,
    ) -> anyhow::Result<(T, bool)> {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let mut operation = std::pin::pin!(operation);
        let mut stopped = false;
        loop {
            tokio::select! {
                done = &mut operation => {
                    let done = done?;
                    self.bar.finish_and_clear();
                    return Ok((done, stopped));
                }
                () = signals.next() => {
                    anyhow::ensure!(!stopped, "stopped at once; what was on its way may be in both queues, with the same message id");
                    stopped = true;
                    self.dead.stop();
                }
            }
        }
    }
}

/// Says what is wrong with the usage.
fn wrong_usage(text: &str) -> anyhow::Result<ExitCode> {
    text::complain(&format!("error: {text}"));
    Ok(ExitCode::from(WRONG_USAGE))
}

fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant.
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Tells on standard error why not every message was looked at.
fn tell_short(queue: &QueueName, looked: &Looked) {
    let Looked { seen, ready, .. } = *looked;
    if ready == 0 && looked.short == Some(Short::Others) {
        text::complain(&format!(
            "{queue}: nothing is ready, but somebody else reads the queue: what they hold is not seen"
        ));
        return;
    }
    let why = match looked.short {
        Some(Short::Others) => "somebody else reads the queue, and has the rest",
        Some(Short::Window) => "no more can be held at a time; replay, discard or export what was seen first",
        Some(Short::Stopped) => "it was stopped",
        Some(_) | None => return,
    };
    text::complain(&format!("{queue}: {seen} of {ready} messages were looked at: {why}"));
}

/// Returns the exit code of a run that removes.
fn exit_code(summary: &Summary, stopped: bool) -> ExitCode {
    let all = summary.kept == 0 && summary.parked == 0 && summary.looked.short.is_none() && !stopped;
    if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) }
}

fn queue_name(text: &str) -> Result<QueueName, garenne::NameError> {
    QueueName::try_from(text.to_owned())
}
