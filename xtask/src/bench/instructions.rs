//! `cargo xtask instructions`: how many instructions a client executes for each message. A busy machine does not change them.
//!
//! Every program runs twice under callgrind against the embedded broker in another process; the difference of the two runs holds no start
//! and no end. A program that consumes fills its queue first, which is taken off as well.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    process::{ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

use super::{
    broker::EmbeddedBroker,
    programs::{
        self, C_EACH, C_PUBLISH, CONSUME, LAYERED, PUBLISH, Program, RAW_BY_50, RAW_EACH, RAW_PUBLISH,
    },
};
use crate::{environment, page, process};

/// The options of `cargo xtask instructions`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Writes the table into `docs/performance.md` instead of comparing with it.
    #[arg(long)]
    write: bool,
}

/// The name of the table in the page.
const TABLE: &str = "instructions";
const PAGE: &str = "docs/performance.md";
/// How many messages the two runs of a program move.
const COUNTS: [u32; 2] = [2_000, 10_000];
/// How much more than the table says is a failure, in percent.
const GROWTH_MAX: u64 = 10;
const LIMIT: Duration = Duration::from_secs(600);

/// Counts, and compares with the table or writes it.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if let Some(why) = missing() {
        bail!("{why}");
    }
    let counted = count()?;
    let table = table(&counted)?;
    println!("{table}");
    if args.write {
        page::write(TABLE, &table, &environment::root().join(PAGE))?;
    } else {
        compare(&counted)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is missing to count with.
fn missing() -> Option<String> {
    let found = environment::find_program("valgrind", &[]);
    found.is_none().then(|| "there is no `valgrind` in PATH to count instructions with".to_owned())
}

/// Counts the instructions of a message for every program.
fn count() -> anyhow::Result<BTreeMap<&'static str, u64>> {
    let mut programs = programs::build()?;
    programs.extend(programs::layered());
    let broker = EmbeddedBroker::start()?;
    let mut counted = BTreeMap::new();
    for program in &programs {
        let [few, many] = COUNTS;
        let more = collected(program, &broker.url, many)?.checked_sub(collected(program, &broker.url, few)?);
        let each = more.context("more messages took fewer instructions")? / u64::from(many - few);
        eprintln!("{}: {each} instructions a message", program.name);
        counted.insert(program.name, each);
    }
    let layered =
        LAYERED.iter().filter(|(name, _)| name.starts_with(CONSUME)).map(|(name, _)| (*name, PUBLISH));
    let peers = [(CONSUME, PUBLISH), (RAW_EACH, RAW_PUBLISH), (RAW_BY_50, RAW_PUBLISH), (C_EACH, C_PUBLISH)];
    for (consume, publish) in peers.into_iter().chain(layered) {
        let fill = counted.get(publish).copied().unwrap_or_default();
        if let Some(each) = counted.get_mut(consume) {
            *each = each.saturating_sub(fill);
        }
    }
    Ok(counted)
}

/// Runs a program under callgrind; returns how many instructions it executed.
fn collected(program: &Program, url: &str, count: u32) -> anyhow::Result<u64> {
    let mut command = program.command_under(
        &["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"],
        url,
        count,
    );
    command.args(["--queue-kind", "classic"]).stderr(Stdio::piped());
    let output = process::try_output(&mut command, LIMIT)?;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed under callgrind: {told}", program.name);
    let total = told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    total.context("callgrind told no `Collected :`")
}

fn table(counted: &BTreeMap<&'static str, u64>) -> anyhow::Result<String> {
    let mut text = String::from("| program | instructions a message |\n|---|---:|\n");
    let plain = [PUBLISH, RAW_PUBLISH, C_PUBLISH, CONSUME, RAW_EACH, RAW_BY_50, C_EACH];
    for name in plain.into_iter().chain(LAYERED.iter().map(|(name, _)| *name)) {
        if let Some(each) = counted.get(name) {
            writeln!(text, "| {name} | {each} |")?;
        }
    }
    Ok(text)
}

/// Fails if Garenne needs notably more than the page says.
fn compare(counted: &BTreeMap<&'static str, u64>) -> anyhow::Result<()> {
    let known = page::read(TABLE, &environment::root().join(PAGE))?;
    for name in [PUBLISH, CONSUME] {
        let before = known.lines().find_map(|line| row(line, name));
        let before = before.with_context(|| format!("the table `{TABLE}` of {PAGE} has no row `{name}`"))?;
        let now = counted.get(name).copied().unwrap_or_default();
        if let Some(growth) = too_much(before, now) {
            bail!(
                "{name}: a message took {before} instructions and takes {now} now, {growth} % more; at most {GROWTH_MAX} % are allowed; \
                 find out why, or accept it with `cargo xtask instructions --write`"
            );
        }
    }
    Ok(())
}

/// Reads the figure of a row.
fn row(line: &str, name: &str) -> Option<u64> {
    let figure = line.strip_prefix("| ")?.strip_prefix(name)?.strip_prefix(" | ")?;
    figure.strip_suffix(" |")?.parse().ok()
}

/// Returns by how many percent a figure has grown, if that is more than is allowed.
fn too_much(before: u64, now: u64) -> Option<u64> {
    (now * 100 > before * (100 + GROWTH_MAX)).then(|| (now - before) * 100 / before.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_allowed_and_no_more() {
        assert_eq!(too_much(5000, 5500), None);
        assert_eq!(too_much(5000, 5501), Some(10));
        assert_eq!(too_much(5000, 10_000), Some(100));
        assert_eq!(too_much(5000, 1), None);
    }

    #[test]
    fn a_table_that_was_written_is_read() {
        let table = table(&BTreeMap::from([(PUBLISH, 7312), (CONSUME, 8000)])).unwrap();
        assert_eq!(table.lines().find_map(|line| row(line, PUBLISH)), Some(7312));
        assert_eq!(table.lines().find_map(|line| row(line, CONSUME)), Some(8000));
        assert_eq!(table.lines().find_map(|line| row(line, RAW_PUBLISH)), None);
    }
}
