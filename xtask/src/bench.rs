//! `cargo xtask bench`: Garenne and its peers in turn on one broker; medians and ratios into a table.

mod broker;
mod embedded;
pub(crate) mod instructions;
mod programs;
mod retries;

use std::{fmt::Write as _, process::ExitCode};

use anyhow::Context as _;

use self::programs::{
    C_EACH, C_PUBLISH, CONSUME, PUBLISH, Program, RAW_BY_50, RAW_EACH, RAW_PUBLISH, Run, median,
};
use crate::{environment, page};

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
    /// Measures only on the embedded broker.
    #[arg(long)]
    embedded: bool,
    /// Measures only what failed messages cost the others.
    #[arg(long, conflicts_with = "embedded")]
    retries: bool,
    /// Writes the table into `docs/performance.md` instead of standard output only.
    #[arg(long)]
    write: bool,
}

/// What is compared: the figure of one program to that of another.
struct Ratio {
    name: &'static str,
    target: &'static str,
    of: &'static str,
    to: &'static str,
    figure: fn(&Run) -> f64,
}

/// A program and its runs.
struct Contender<'a> {
    program: &'a Program,
    runs: Vec<Run>,
}

/// The name of the table in the page.
const MEASURED: &str = "measured";

const RATIOS: [Ratio; 7] = [
    Ratio::rate("publish rate, to raw lapin", "at least 1.00", PUBLISH, RAW_PUBLISH),
    Ratio::rate("publish rate, to the C client", "at least 1.00", PUBLISH, C_PUBLISH),
    Ratio::cpu("client CPU of a publish, to raw lapin", "at most 1.30", PUBLISH, RAW_PUBLISH),
    Ratio::rate("consume rate, to raw lapin awaiting each ack", "at least 2.20", CONSUME, RAW_EACH),
    Ratio::rate("consume rate, to raw lapin acking by 50", "at least 1.00", CONSUME, RAW_BY_50),
    Ratio::rate("consume rate, to the C client acking each", "at least 1.25", CONSUME, C_EACH),
    Ratio::cpu("client CPU of a delivery, to raw lapin acking by 50", "at most 1.30", CONSUME, RAW_BY_50),
];

/// Measures on a broker and prints the table.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let programs = programs::build()?;
    if args.retries {
        retries::measure(args)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.embedded {
        compare(args, &programs)?;
        retries::measure(args)?;
    }
    embedded::measure(args, &programs)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a table, and writes it into the page if that is asked for.
fn show(name: &str, table: &str, args: &Args) -> anyhow::Result<()> {
    println!("{table}");
    if args.write {
        page::write(name, table, &environment::root().join("docs/performance.md"))?;
    }
    Ok(())
}

/// Measures Garenne beside its peers on one RabbitMQ.
fn compare(args: &Args, programs: &[Program]) -> anyhow::Result<()> {
    let broker = crate::broker::resolve()?;
    let mut contenders: Vec<_> =
        programs.iter().map(|program| Contender { program, runs: Vec::new() }).collect();
    for round in 1..=args.rounds {
        for Contender { program, runs } in &mut contenders {
            let mut command = program.command(&broker.amqp_url, args.count);
            if program.name == CONSUME {
                command.args(["--concurrency", &args.concurrency.to_string()]);
            }
            let run = program.run(&mut command)?;
            eprintln!("round {round}: {} {:.0}/s", program.name, run.per_second);
            runs.push(run);
        }
    }
    show(MEASURED, &table(&contenders, args)?, args)
}

fn table(contenders: &[Contender<'_>], args: &Args) -> anyhow::Result<String> {
    let mut text = String::new();
    writeln!(text, "Medians of {} alternating rounds, {} messages each.\n", args.rounds, args.count)?;
    writeln!(text, "| program | messages/s | client CPU, us/message | p50, us | p99, us | p99.9, us |")?;
    writeln!(text, "|---|---:|---:|---:|---:|---:|")?;
    for Contender { program, runs } in contenders {
        writeln!(
            text,
            "| {} | {:.0} | {:.1} | {:.0} | {:.0} | {:.0} |",
            program.name,
            median(runs, |run| run.per_second),
            median(runs, |run| run.client_cpu_us_per_message),
            median(runs, |run| run.p50_us),
            median(runs, |run| run.p99_us),
            median(runs, |run| run.p999_us),
        )?;
    }
    writeln!(text, "\n| ratio of medians | target | measured |\n|---|---:|---:|")?;
    let runs_of = |name: &str| {
        contenders.iter().find(|contender| contender.program.name == name).map(|found| &*found.runs)
    };
    for Ratio { name, target, of, to, figure } in &RATIOS {
        let own = runs_of(of).with_context(|| format!("`{of}` was not measured"))?;
        match runs_of(to) {
            Some(peer) => {
                writeln!(text, "| {name} | {target} | {:.2} |", median(own, figure) / median(peer, figure))?;
            }
            None => writeln!(text, "| {name} | {target} | not measured: librabbitmq was not there |")?,
        }
    }
    Ok(text)
}

// === impl Ratio ===

impl Ratio {
    const fn rate(name: &'static str, target: &'static str, of: &'static str, to: &'static str) -> Self {
        Self { name, target, of, to, figure: |run| run.per_second }
    }

    const fn cpu(name: &'static str, target: &'static str, of: &'static str, to: &'static str) -> Self {
        Self { name, target, of, to, figure: |run| run.client_cpu_us_per_message }
    }
}
