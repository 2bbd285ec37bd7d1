//! The programs that are measured: Garenne's own benchmark, raw lapin, and the C client where its library is installed.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use crate::{environment, process};

/// No build and no run takes longer than this.
const LIMIT: Duration = Duration::from_secs(1800);
/// The headers of librabbitmq since 0.12, and before.
const C_HEADERS: [&str; 2] = ["rabbitmq-c/amqp.h", "amqp.h"];

/// A program that is measured.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) name: &'static str,
    path: PathBuf,
    arguments: &'static [&'static str],
}

/// What one run of a program comes to.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) per_second: f64,
    pub(super) client_cpu_us_per_message: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
}

pub(super) const PUBLISH: &str = "Garenne, publish";
pub(super) const CONSUME: &str = "Garenne, consume";
pub(super) const RAW_PUBLISH: &str = "raw lapin, publish pipelined";
pub(super) const RAW_EACH: &str = "raw lapin, consume, await each ack";
pub(super) const RAW_BY_50: &str = "raw lapin, consume, ack by 50";
pub(super) const C_PUBLISH: &str = "C client, publish pipelined";
pub(super) const C_EACH: &str = "C client, consume, ack each";

/// Garenne with layers around publishing and handling that do nothing.
pub(super) const LAYERED: [(&str, &[&str]); 6] = [
    ("Garenne, publish, 1 layer", &["bench", "publish", "--layers", "1"]),
    ("Garenne, publish, 3 layers", &["bench", "publish", "--layers", "3"]),
    ("Garenne, publish, 10 layers", &["bench", "publish", "--layers", "10"]),
    ("Garenne, consume, 1 layer", &["bench", "consume", "--layers", "1"]),
    ("Garenne, consume, 3 layers", &["bench", "consume", "--layers", "3"]),
    ("Garenne, consume, 10 layers", &["bench", "consume", "--layers", "10"]),
];

/// Garenne with a retry policy, without failures and with one message of ten that fails at first.
pub(super) const RETRYING: [(&str, &[&str]); 4] = [
    ("retries in the queue, none fails", &["bench", "consume", "--retry", "queue"]),
    ("retries in the queue, 10 % fail", &["bench", "consume", "--retry", "queue", "--failing", "10"]),
    ("retries in a tier, none fails", &["bench", "consume", "--retry", "tier"]),
    ("retries in a tier, 10 % fail", &["bench", "consume", "--retry", "tier", "--failing", "10"]),
];

/// Builds the programs; says so if the C client is not among them.
pub(super) fn build() -> anyhow::Result<Vec<Program>> {
    let mut cargo = Command::new(environment::cargo());
    cargo.args(["build", "--quiet", "--release", "-p", "garenne-cli", "-p", "garenne-benches"]);
    process::run(cargo.current_dir(environment::root()), LIMIT).context("the release build failed")?;
    let raw = "garenne-benches";
    let mut programs = vec![
        program(PUBLISH, "garenne", &["bench", "publish"]),
        program(RAW_PUBLISH, raw, &["publish"]),
        program(CONSUME, "garenne", &["bench", "consume"]),
        program(RAW_EACH, raw, &["consume-ack-each"]),
        program(RAW_BY_50, raw, &["consume-ack-by50"]),
    ];
    if build_c()? {
        programs.push(program(C_PUBLISH, C_PEER, &["publish"]));
        programs.push(program(C_EACH, C_PEER, &["consume-ack-each"]));
    } else {
        eprintln!(
            "the C client is left out: there is no `cc`, or no header of librabbitmq (Debian: librabbitmq-dev)"
        );
    }
    Ok(programs)
}

/// The name of the C client's program.
const C_PEER: &str = "garenne-bench-c";

/// Builds the C client's program; `false` if its library is not installed.
fn build_c() -> anyhow::Result<bool> {
    let Some(cc) = environment::find_program("cc", &[]) else { return Ok(false) };
    let knows = |header: &str| {
        let mut probe = Command::new(&cc);
        probe.args(["-fsyntax-only", "-include", header, "-x", "c", "/dev/null"]);
        process::try_output(&mut probe, LIMIT).map(|output| output.status.success())
    };
    if !(knows(C_HEADERS[0])? || knows(C_HEADERS[1])?) {
        return Ok(false);
    }
    let mut build = Command::new(&cc);
    build
        .args(["-O2", "-Wall", "-Wextra", "-o"])
        .arg(environment::target().join("release").join(C_PEER))
        .arg(environment::root().join("benches/c/peer.c"))
        .arg("-lrabbitmq");
    process::run(&mut build, LIMIT)?;
    Ok(true)
}

/// Returns the programs with a retry policy; they are built with the others.
pub(super) fn retrying() -> Vec<Program> {
    RETRYING.iter().map(|(name, arguments)| program(name, "garenne", arguments)).collect()
}

/// Returns the programs with layers; they are built with the others.
pub(super) fn layered() -> Vec<Program> {
    LAYERED.iter().map(|(name, arguments)| program(name, "garenne", arguments)).collect()
}

fn program(name: &'static str, binary: &str, arguments: &'static [&'static str]) -> Program {
    Program { name, path: environment::target().join("release").join(binary), arguments }
}

// === impl Program ===

impl Program {
    /// Returns the command that moves so many messages.
    pub(super) fn command(&self, url: &str, count: u32) -> Command {
        let mut command = Command::new(&self.path);
        command.args(self.arguments).args(["--count", &count.to_string()]).arg("--json");
        command.env("AMQP_URL", url).stderr(Stdio::inherit());
        command
    }

    /// Returns the command that runs it under another program.
    pub(super) fn command_under(&self, other: &[&str], url: &str, count: u32) -> Command {
        let own = self.command(url, count);
        let mut command = Command::new(other[0]);
        command.args(&other[1..]).arg(own.get_program()).args(own.get_args()).env("AMQP_URL", url);
        command
    }

    /// Runs a command of the program and reads what it measured.
    pub(super) fn run(&self, command: &mut Command) -> anyhow::Result<Run> {
        let output = command.output().with_context(|| format!("cannot run {}", self.path.display()))?;
        ensure!(output.status.success(), "{} failed: {}", self.name, output.status);
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("{} printed no measurement", self.name))
    }
}

/// Returns the median of some figures.
pub(super) fn median<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.len() % 2 == 1 { figures[middle] } else { f64::midpoint(figures[middle - 1], figures[middle]) }
}
