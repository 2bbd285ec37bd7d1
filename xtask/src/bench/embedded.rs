//! Measures on the embedded broker: the broker itself, with raw lapin in the same process, and Garenne, where the client is the limit.

use std::{fmt::Write as _, process::Command};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::{
    Args,
    broker::EmbeddedBroker,
    programs::{CONSUME, PUBLISH, Program, Run, median},
    show,
};
use crate::environment;

/// The name of the table in the page.
const EMBEDDED: &str = "embedded";

/// What the embedded broker gives one connection of raw lapin.
#[derive(Debug, Clone, Deserialize)]
struct Embedded {
    ready_ms: f64,
    published_per_second: f64,
    consumed_per_second: f64,
}

/// Measures as often as on RabbitMQ, and shows the medians.
pub(super) fn measure(args: &Args, programs: &[Program]) -> anyhow::Result<()> {
    let (mut broker, mut publish, mut consume) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        broker.push(raw_lapin()?);
        publish.push(garenne(PUBLISH, args, programs)?);
        consume.push(garenne(CONSUME, args, programs)?);
    }
    let mut text = format!("Medians of {} rounds.\n\n", args.rounds);
    writeln!(text, "| on the embedded broker | target | measured |\n|---|---:|---:|")?;
    let published = median(&broker, |run| run.published_per_second);
    let consumed = median(&broker, |run| run.consumed_per_second);
    for (name, target, measured) in [
        ("ready, from nothing to an open channel, ms", "at most 10", median(&broker, |run| run.ready_ms)),
        ("raw lapin in the same process, confirmed publishes a second", "at least 100,000", published),
        ("raw lapin in the same process, deliveries a second, acked by 50", "at least 60,000", consumed),
        ("Garenne, publishes a second", "at least 150,000", median(&publish, |run| run.per_second)),
        ("Garenne, deliveries a second", "at least 200,000", median(&consume, |run| run.per_second)),
    ] {
        let decimals = usize::from(measured < 100.0);
        writeln!(text, "| {name} | {target} | {measured:.decimals$} |")?;
    }
    show(EMBEDDED, &text, args)
}

fn raw_lapin() -> anyhow::Result<Embedded> {
    let mut command = Command::new(environment::target().join("release/garenne-benches"));
    let output = command.arg("embedded").output().context("cannot run garenne-benches")?;
    ensure!(
        output.status.success(),
        "the benchmark of the embedded broker failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("it printed no measurement")
}

/// Runs one of Garenne's programs with a broker of its own in another process.
fn garenne(name: &str, args: &Args, programs: &[Program]) -> anyhow::Result<Run> {
    let program = programs.iter().find(|program| program.name == name);
    let program = program.with_context(|| format!("there is no program `{name}`"))?;
    let broker = EmbeddedBroker::start()?;
    let run = program.run(program.command(&broker.url, args.count).args(["--queue-kind", "classic"]))?;
    eprintln!("{name}, on the embedded broker: {:.0}/s", run.per_second);
    Ok(run)
}
