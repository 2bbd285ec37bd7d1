//! `cargo xtask bench`: Garenne and hand-written lapin loops in turn on one broker; medians and ratios into a table.

use std::{
    fmt::Write as _,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::{broker, environment, page};

/// The options of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many rounds; in each, every program runs once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// How many messages each run moves.
    #[arg(long, default_value_t = 50_000)]
    count: u32,
    /// How many handlers of Garenne run at once.
    #[arg(long, default_value_t = 1)]
    concurrency: u16,
    /// Measures only the embedded broker.
    #[arg(long)]
    embedded: bool,
    /// Writes the table into `docs/performance.md` instead of standard output only.
    #[arg(long)]
    write: bool,
}

/// One program that is measured.
struct Contender {
    name: &'static str,
    binary: &'static str,
    command: &'static [&'static str],
    is_garenne: bool,
    runs: Vec<Run>,
}

#[derive(Debug, Clone, Deserialize)]
struct Run {
    per_second: f64,
    client_cpu_us_per_message: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
}

/// What the embedded broker gives one connection, and what it is to give.
#[derive(Debug, Clone, Deserialize)]
struct Embedded {
    ready_ms: f64,
    published_per_second: f64,
    consumed_per_second: f64,
}

/// The names of the tables in the page.
const MEASURED: &str = "measured";
const EMBEDDED: &str = "embedded";

/// Measures on a broker and prints the table.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = &environment::root();
    build(root)?;
    if !args.embedded {
        compare(args, root)?;
    }
    let table = embedded_table(args, root)?;
    println!("{table}");
    if args.write {
        page::write(EMBEDDED, &table, &root.join("docs/performance.md"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Measures Garenne beside its peers on one RabbitMQ.
fn compare(args: &Args, root: &Path) -> anyhow::Result<()> {
    let broker = broker::resolve()?;
    let mut contenders = contenders();
    for round in 1..=args.rounds {
        for contender in &mut contenders {
            let run = contender.run(args, &broker.amqp_url, root)?;
            eprintln!("round {round}: {} {:.0}/s", contender.name, run.per_second);
            contender.runs.push(run);
        }
    }
    let table = table(&contenders, args)?;
    println!("{table}");
    if args.write {
        page::write(MEASURED, &table, &root.join("docs/performance.md"))?;
    }
    Ok(())
}

fn contenders() -> Vec<Contender> {
    let contender =
        |name, binary, command, is_garenne| Contender { name, binary, command, is_garenne, runs: Vec::new() };
    vec![
        contender("Garenne, publish", "garenne", &["bench", "publish"], true),
        contender("raw lapin, publish pipelined", "garenne-benches", &["publish"], false),
        contender("Garenne, consume", "garenne", &["bench", "consume"], true),
        contender("raw lapin, consume, await each ack", "garenne-benches", &["consume-ack-each"], false),
        contender("raw lapin, consume, ack by 50", "garenne-benches", &["consume-ack-by50"], false),
    ]
}

fn build(root: &Path) -> anyhow::Result<()> {
    let status = Command::new(environment::cargo())
        .args(["build", "--quiet", "--release", "-p", "garenne-cli", "-p", "garenne-benches"])
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "the release build failed");
    Ok(())
}

// === impl Contender ===

impl Contender {
    fn run(&self, args: &Args, url: &str, root: &Path) -> anyhow::Result<Run> {
        let mut command = Command::new(root.join("target/release").join(self.binary));
        command.args(self.command).args(["--json", "--count", &args.count.to_string()]).env("AMQP_URL", url);
        if self.is_garenne {
            command.args(["--concurrency", &args.concurrency.to_string()]);
        }
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot run {}", self.binary))?;
        ensure!(output.status.success(), "{} failed: {}", self.name, output.status);
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} printed no measurement", self.name))
    }

    fn median(&self, figure: impl Fn(&Run) -> f64) -> f64 {
        let mut figures: Vec<f64> = self.runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        }
    }
}

fn table(contenders: &[Contender], args: &Args) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "Medians of {} alternating rounds, {} messages each.\n", args.rounds, args.count)?;
    writeln!(text, "| program | messages/s | client CPU, us/message | p50, us | p99, us | p99.9, us |")?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
    for contender in contenders {
        writeln!(
            text,
            "| {} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} |",
            contender.name,
            contender.median(|run| run.per_second),
            contender.median(|run| run.client_cpu_us_per_message),
            contender.median(|run| run.p50_us),
            contender.median(|run| run.p99_us),
            contender.median(|run| run.p999_us),
        )?;
    }
    let [publish, raw_publish, consume, raw_each, raw_by_50] = contenders else {
        anyhow::bail!("five programs are compared, but there are {}", contenders.len());
    };
    let rate = |contender: &Contender| contender.median(|run| run.per_second);
    let cpu = |contender: &Contender| contender.median(|run| run.client_cpu_us_per_message);
    writeln!(text, "\n| ratio of medians | target | measured |\n|---|---:|---:|")?;
    for (name, target, measured) in [
        ("publish rate, to raw lapin pipelined", "at least 1.00", rate(publish) / rate(raw_publish)),
        ("consume rate, to awaiting each ack", "at least 2.20", rate(consume) / rate(raw_each)),
        ("consume rate, to acking by 50", "at least 0.95", rate(consume) / rate(raw_by_50)),
        ("client CPU of a publish, to raw lapin pipelined", "at most 1.30", cpu(publish) / cpu(raw_publish)),
        ("client CPU of a delivery, to acking by 50", "at most 1.30", cpu(consume) / cpu(raw_by_50)),
    ] {
        writeln!(text, "| {name} | {target} | {measured:.2} |")?;
    }
    Ok(text)
}

/// Measures the embedded broker as often as the others, and takes the medians.
fn embedded_table(args: &Args, root: &Path) -> anyhow::Result<String> {
    let mut runs = Vec::new();
    for _ in 0..args.rounds {
        let mut command = Command::new(root.join("target/release/garenne-benches"));
        let output = command
            .arg("embedded")
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run garenne-benches")?;
        ensure!(output.status.success(), "the benchmark of the embedded broker failed: {}", output.status);
        let run: Embedded = serde_json::from_slice(&output.stdout).context("it printed no measurement")?;
        runs.push(run);
    }
    let median = |figure: fn(&Embedded) -> f64| {
        let mut figures: Vec<f64> = runs.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let mut text = String::new();
    writeln!(
        text,
        "Medians of {} rounds.\n\n| embedded broker | target | measured |\n|---|---:|---:|",
        args.rounds
    )?;
    for (name, target, measured) in [
        ("ready, from nothing to an open channel, ms", "at most 10", median(|run| run.ready_ms)),
        ("confirmed publishes a second", "at least 100,000", median(|run| run.published_per_second)),
        ("deliveries a second, acked by 50", "at least 60,000", median(|run| run.consumed_per_second)),
    ] {
        let decimals = usize::from(measured < 100.0);
        writeln!(text, "| {name} | {target} | {measured:.decimals$} |")?;
    }
    Ok(text)
}
