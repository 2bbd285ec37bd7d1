//! A broker in a container.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::reaper::Reaper;
use super::{Broker, Source};
use crate::process;

/// Marks what the tasks start, so that what a killed machine left is found later.
const LABEL: &str = "garenne.xtask";
/// The line of the server's log after which it serves, and after which CLI tools may be run in the container.
const READY: &str = "Server startup complete";
/// How long a broker may take to start: 10 to 20 s are usual.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long Docker may take for anything small.
const DOCKER_LIMIT: Duration = Duration::from_secs(60);

/// A container that goes with this value, and with this process.
#[derive(Debug)]
pub(crate) struct Container {
    name: String,
    _reaper: Reaper,
}

/// Returns the version of the running Docker, or why there is none.
pub(super) fn version() -> Result<String> {
    let version = docker(&["version", "--format", "{{.Server.Version}}"], DOCKER_LIMIT)?;
    Ok(version.trim().to_owned())
}

/// Starts a broker from a present image and waits until it serves.
pub(super) fn start(image: &str) -> Result<Broker> {
    sweep();
    let name = format!("garenne-xtask-{}", std::process::id());
    let reaper = Reaper::new("exec docker rm --force --volumes \"$1\"", &[&name])?;
    let container = Container { name, _reaper: reaper };
    let name = container.name.as_str();
    let ports = ["5672", "15672", "15692"].map(|port| format!("--publish=127.0.0.1::{port}"));
    let mut arguments = vec!["run", "--detach", "--pull=never", "--name", name, "--label", LABEL];
    arguments.extend(ports.iter().map(String::as_str));
    arguments.push(image);
    docker(&arguments, DOCKER_LIMIT)?;
    container.wait_until_ready()?;
    let amqp = container.published("5672")?;
    let management = container.published("15672")?;
    Ok(Broker {
        amqp_url: format!("amqp://guest:guest@{amqp}"),
        management_url: format!("http://guest:guest@{management}"),
        source: Source::Container(container),
    })
}

impl Container {
    fn wait_until_ready(&self) -> Result<()> {
        let ready = process::wait_for(START_LIMIT, || {
            if self.log()?.contains(READY) {
                return Ok(Some(true));
            }
            let running = docker(&["inspect", "--format", "{{.State.Running}}", &self.name], DOCKER_LIMIT)?;
            Ok((running.trim() != "true").then_some(false))
        })?;
        let log = || self.log().unwrap_or_default();
        match ready {
            Some(true) => Ok(()),
            Some(false) => bail!("the broker ended while it started; its log ends with\n{}", tail(&log())),
            None => bail!(
                "the broker does not serve after {} s; its log ends with\n{}",
                START_LIMIT.as_secs(),
                tail(&log())
            ),
        }
    }

    fn log(&self) -> Result<String> {
        let output = process::try_output(Command::new("docker").args(["logs", &self.name]), DOCKER_LIMIT)?;
        Ok([output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat())
    }

    /// Returns the address that Docker chose for a port of the container.
    fn published(&self, port: &str) -> Result<String> {
        let addresses = docker(&["port", &self.name, port], DOCKER_LIMIT)?;
        addresses.lines().next().map(str::to_owned).with_context(|| format!("port {port} is not published"))
    }
}

/// Removes containers of ours that are older than an hour.
///
/// A reaper leaves nothing, not even of a killed task; but it dies with the machine, or with Docker.
fn sweep() {
    let filter = format!("label={LABEL}");
    let list = ["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.RunningFor}}"];
    let found = docker(&list, DOCKER_LIMIT).unwrap_or_default();
    let left = found.lines().filter_map(|line| line.split_once(' ')).filter(|(_, age)| is_over_an_hour(age));
    for (name, age) in left {
        eprintln!("broker: removing {name}, left by an earlier task ({age})");
        let _ = docker(&["rm", "--force", "--volumes", name], DOCKER_LIMIT);
    }
}

/// Reads Docker's age of a container: `About an hour ago`, `3 hours ago`, `2 days ago`, but not `59 minutes ago`.
fn is_over_an_hour(age: &str) -> bool {
    ["hour", "day", "week", "month", "year"].iter().any(|unit| age.contains(unit))
}

pub(super) fn docker(arguments: &[&str], limit: Duration) -> Result<String> {
    process::output(Command::new("docker").args(arguments), limit)
}

/// The last lines of a log: enough to see why a server did not start.
pub(super) fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_of_a_log_is_its_last_twenty_lines() {
        let log: String = (0..30).map(|line| format!("{line}\n")).collect();
        assert!(tail(&log).starts_with("10\n"));
        assert_eq!(tail("a\nb"), "a\nb");
    }

    #[test]
    fn only_containers_older_than_an_hour_are_left_overs() {
        assert!(is_over_an_hour("About an hour ago"));
        assert!(!is_over_an_hour("59 minutes ago"));
    }
}
