//! `garenne dlq export` and `garenne dlq import`.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use garenne::{
    Publisher, QueueName,
    deadletter::{Record, Short},
};
use garenne_program::BrokerArgs;

use super::{NOT_ALL, Session, Target, connect, queue_name, select::Select, take, tell_short, text};

/// The options of `garenne dlq export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    select: Select,
    /// How many at most.
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    /// Writes to this file, which must not be there yet; standard output otherwise.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The options of `garenne dlq import`.
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// What `garenne dlq export` wrote; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Publishes to this queue as it is; otherwise to the dead-letter queue that each came from.
    #[arg(long, value_name = "QUEUE", value_parser = queue_name)]
    to: Option<QueueName>,
    /// Publishes to the queue that each failed in, as a replay does.
    #[arg(long, conflicts_with = "to")]
    origin: bool,
    /// Begins with this line, to go on with an import that ended early.
    #[arg(long, value_name = "LINE", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    from_line: u64,
    #[command(flatten)]
    broker: BrokerArgs,
}

pub(super) async fn export(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(&args.target).await?;
    let file = args.out.as_ref().map(take::open).transpose()?;
    let mut output: Box<dyn Write> = match &file {
        Some(file) => Box::new(io::BufWriter::new(file)),
        None => Box::new(io::BufWriter::new(io::stdout())),
    };
    let mut written: io::Result<u64> = Ok(0);
    let filter = args.select.filter();
    let write = |letter| {
        if let Ok(count) = written {
            written = write_line(&mut output, &Record::of(&letter)).map(|()| count + 1);
        }
    };
    let (looked, stopped) = session.run(session.dead.each(&filter, args.limit, write)).await?;
    session.client.close().await;
    let flushed = written.and_then(|count| output.flush().map(|()| count));
    drop(output);
    let count = flushed.and_then(|count| file.map_or(Ok(()), |file| file.sync_all()).map(|()| count));
    let count = count.context("cannot write the export")?;
    text::complain(&format!("{count} messages were exported, and stay where they are"));
    tell_short(&args.target.queue, &looked);
    let all = !stopped && matches!(looked.short, None | Some(Short::Others));
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(NOT_ALL) })
}

pub(super) async fn import(args: ImportArgs) -> anyhow::Result<ExitCode> {
    let lines = open(&args.file)?;
    let client = connect(&args.broker).await?;
    let publisher = Publisher::new(&client);
    let (mut done, mut failed) = (0_u64, 0_u64);
    // A line that is no text is reported as any other that is wrong.
    for (number, line) in (1_u64..).zip(lines.split(b'\n')) {
        let line =
            line.with_context(|| format!("line {number} cannot be read; {done} messages were imported"))?;
        if number < args.from_line || line.trim_ascii().is_empty() {
            continue;
        }
        match import_line(&args, &publisher, &line).await {
            Ok(()) => done += 1,
            Err(Problem::Line(reason)) => {
                failed += 1;
                text::complain(&format!("line {number}: {reason}"));
            }
            Err(Problem::Broker(error)) => {
                let hint = format!("{done} messages were imported; `--from-line {number}` goes on here");
                return Err(anyhow::Error::new(error).context(hint));
            }
        }
    }
    client.close().await;
    text::print(&format!("{done} messages were imported"))?;
    if failed > 0 {
        text::complain(&format!("{failed} lines were not"));
        return Ok(ExitCode::from(NOT_ALL));
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a line was not imported.
enum Problem {
    /// It is about the line; the others may do.
    Line(String),
    /// Nothing can be published.
    Broker(garenne::PublishError),
}

async fn import_line(args: &ImportArgs, publisher: &Publisher, line: &[u8]) -> Result<(), Problem> {
    let record: Record = serde_json::from_slice(line).map_err(|error| Problem::Line(error.to_string()))?;
    let queue = args.to.clone().unwrap_or_else(|| record.queue.clone());
    let message = if args.origin { record.for_origin() } else { record.for_queue(&queue).map(Some) };
    let message = message.map_err(|error| Problem::Line(error.to_string()))?.ok_or_else(|| {
        Problem::Line("nothing tells which queue it came from; name one with `--to`".to_owned())
    })?;
    match publisher.publish_raw(message).await {
        Ok(_) => Ok(()),
        Err(error) if error.is_unroutable() || !error.is_transient() => {
            Err(Problem::Line(garenne::shared::Chain(&error).to_string()))
        }
        Err(error) => Err(Problem::Broker(error)),
    }
}

fn open(path: &Path) -> anyhow::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

fn write_line(output: &mut impl Write, record: &Record) -> io::Result<()> {
    serde_json::to_writer(&mut *output, record)?;
    output.write_all(b"\n")
}
