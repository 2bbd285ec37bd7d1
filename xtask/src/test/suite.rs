//! The tiers that need RabbitMQ.

use std::fs;
use std::process::Command;

use anyhow::Result;

use super::credentials;
use super::plan::{LIMIT, SUITE_TARGET, cargo, command};
use crate::broker::{self, Source, image};
use crate::{environment, process};

/// Runs the integration suites: in containers that they start themselves, unless there is `AMQP_URL` or no Docker.
///
/// Without Docker, tests with a broker of their own cannot run: their names are left in `left_out`.
pub(super) fn run(left_out: &mut Vec<String>) -> Result<()> {
    credentials::forget()?;
    let mut test = command(&["test", "--workspace", "--no-fail-fast", "--test", SUITE_TARGET]);
    test.env("GARENNE_TEST_LOG", credentials::log_file()).env("RABBITMQ_IMAGE", environment::image());
    let container = image::ensure(&environment::image());
    let broker = match (&container, environment::amqp_url()) {
        (Ok(()), None) => None,
        _ => Some(broker::resolve()?),
    };
    if let Some(broker) = &broker {
        test.env("AMQP_URL", &broker.amqp_url).env("RABBITMQ_MANAGEMENT_URL", &broker.management_url);
        if let Source::Installed(server) = &broker.source {
            test.env("RABBITMQCTL", &server.ctl);
        }
    }
    if container.is_err() {
        *left_out = with_own_broker()?;
        test.arg("--").args(left_out.iter().flat_map(|name| ["--skip", name.as_str()]));
    }
    process::run(&mut test, LIMIT)
}

/// Runs the main job, small, as a user would.
pub(super) fn demo() -> Result<()> {
    // The features of the whole workspace: what the tests built is used again.
    cargo(&["build", "--workspace", "--bins"])?;
    let broker = broker::resolve()?;
    let mut demo = Command::new(environment::target().join("debug/garenne"));
    process::run(demo.args(["demo", "--orders", "2000", "--json", "--url", &broker.amqp_url]), LIMIT)
}

/// Finds the tests that start a broker of their own, to stop or alarm it.
fn with_own_broker() -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(environment::root().join("tests/suite"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(own_broker_tests(&fs::read_to_string(path)?));
        }
    }
    Ok(found)
}

fn own_broker_tests(source: &str) -> Vec<String> {
    let mut function = None;
    let mut found = Vec::new();
    for line in source.lines() {
        if let Some((_, rest)) = line.split_once("async fn ") {
            function = rest.split('(').next();
        }
        if line.contains("OwnBroker::start(") {
            found.extend(function.take().map(str::to_owned));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_with_a_broker_of_their_own_are_found_by_name() {
        let source =
            "async fn a() {\n Vhost::new()\n}\nasync fn b() {\n let x = OwnBroker::start().await;\n}";
        assert_eq!(own_broker_tests(source), ["b"]);
    }
}
