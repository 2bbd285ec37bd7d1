//! The tier of clients that this project did not write: Python's pika and aio-pika, in a virtual environment under `target`.
//!
//! Each script prints what it observed; the lines from the embedded broker and from RabbitMQ must be the same.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::suite;
use crate::{broker, environment, process};

/// One script does not take longer than this.
const LIMIT: Duration = Duration::from_secs(300);
const SCRIPTS: [&str; 2] = ["smoke_pika.py", "smoke_aio_pika.py"];

/// Returns why the tier cannot run, if it cannot: there is no Python with virtual environments.
pub(super) fn missing() -> Option<String> {
    let mut probe = Command::new("python3");
    probe.args(["-c", "import venv, ensurepip"]);
    process::output(&mut probe, Duration::from_secs(60))
        .err()
        .map(|error| format!("no usable python3: {error:#}"))
}

/// Runs each script on both brokers and compares what they saw.
pub(super) fn run() -> Result<()> {
    let python = environment()?;
    suite::build_programs()?;
    let rabbitmq = broker::resolve()?;
    let embedded = Embedded::start()?;
    for script in SCRIPTS {
        let there = observe(&python, script, &rabbitmq.amqp_url).context("on RabbitMQ")?;
        let here = observe(&python, script, &embedded.url).context("on the embedded broker")?;
        compare(script, &there, &here)?;
        eprintln!("{script}: {} observations, the same on both brokers", there.lines().count());
    }
    Ok(())
}

/// Makes the virtual environment, unless it is there from an earlier run with the same requirements.
fn environment() -> Result<PathBuf> {
    let folder = environment::target().join("python");
    let requirements = scripts().join("requirements.txt");
    let wanted = fs::read_to_string(&requirements).context("tests/clients/requirements.txt")?;
    let (python, stamp) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder), LIMIT)?;
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    process::run(install.arg(&requirements), LIMIT)?;
    fs::write(&stamp, wanted)?;
    Ok(python)
}

fn scripts() -> PathBuf {
    environment::root().join("tests/clients")
}

fn observe(python: &Path, script: &str, url: &str) -> Result<String> {
    let seen = process::output(Command::new(python).arg(scripts().join(script)).arg(url), LIMIT)
        .context(script.to_owned())?;
    ensure!(seen.lines().any(|line| line == "closed: True"), "{script} did not come to its end: {seen}");
    Ok(seen)
}

fn compare(script: &str, there: &str, here: &str) -> Result<()> {
    for (there, here) in there.lines().zip(here.lines()) {
        ensure!(there == here, "{script}: RabbitMQ: `{there}`, embedded: `{here}`");
    }
    ensure!(there.lines().count() == here.lines().count(), "{script}: one broker was observed for longer");
    Ok(())
}

/// `garenne broker` as a process.
struct Embedded {
    process: Child,
    url: String,
}

impl Embedded {
    fn start() -> Result<Self> {
        let mut command = Command::new(environment::target().join("debug/garenne"));
        command.args(["broker", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().context("garenne broker")?;
        let mut line = String::new();
        let output = process.stdout.take().context("the broker has an output")?;
        BufReader::new(output).read_line(&mut line)?;
        let mut started = Self { process, url: String::new() };
        let url = line.split_whitespace().find(|word| word.starts_with("amqp://"));
        let url =
            url.with_context(|| format!("garenne broker did not say where it listens: `{}`", line.trim()))?;
        url.clone_into(&mut started.url);
        Ok(started)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_shown_and_a_short_run_is_one() {
        assert!(compare("s", "a: 1\nb: 2", "a: 1\nb: 2").is_ok());
        let error = compare("s", "a: 1\nb: 2", "a: 1\nb: 3").expect_err("b differs");
        assert_eq!(error.to_string(), "s: RabbitMQ: `b: 2`, embedded: `b: 3`");
        assert!(compare("s", "a: 1\nb: 2", "a: 1").is_err());
    }
}
