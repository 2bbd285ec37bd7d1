//! The tiers that need RabbitMQ.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::credentials;
use super::plan::{BROKER_TARGETS, LIMIT, cargo, command};
use crate::broker::image::Preparing;
use crate::broker::{self, Source};
use crate::{environment, process};

/// Enough to be cut several times.
const DEMO_ORDERS: u64 = 2000;

/// Runs the integration suites: in containers that they start themselves, unless there is `AMQP_URL` or no Docker.
///
/// Without Docker, tests with a broker of their own cannot run: their names are left in `left_out`.
pub(super) fn run(image: Preparing, left_out: &mut Vec<String>) -> Result<()> {
    credentials::forget()?;
    // Beforehand: a test that runs a program should not wait for the compiler.
    build_programs()?;
    let mut test = command(&["test", "--workspace", "--no-fail-fast"]);
    test.args(BROKER_TARGETS.iter().flat_map(|target| ["--test", target]));
    test.env("GARENNE_TEST_LOG", credentials::log_file()).env("RABBITMQ_IMAGE", environment::image());
    let container = image.wait();
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
    // Its tests mostly wait, each on a vhost or a broker of its own.
    test.args(["--", "--test-threads=8"]);
    if container.is_err() {
        *left_out = with_own_broker()?;
        test.args(left_out.iter().flat_map(|name| ["--skip", name.as_str()]));
    }
    process::run(&mut test, LIMIT)
}

/// Runs the main job, small, as a user would.
pub(super) fn demo() -> Result<()> {
    build_programs()?;
    let broker = broker::resolve()?;
    run_demo(&["--url", &broker.amqp_url])
}

/// Runs the main job on the broker that it brings along.
pub(super) fn embedded_demo() -> Result<()> {
    build_programs()?;
    run_demo(&[])
}

/// Reads the demo's table: a zero exit code alone could come from a program that did nothing.
fn run_demo(arguments: &[&str]) -> Result<()> {
    let mut demo = Command::new(environment::target().join("debug/garenne"));
    demo.args(["demo", "--json", "--orders", &DEMO_ORDERS.to_string()])
        .args(arguments)
        .env_remove("AMQP_URL");
    let printed = process::output(&mut demo, LIMIT)?;
    eprintln!("{}", printed.trim());
    check_table(&printed)
}

fn check_table(printed: &str) -> Result<()> {
    let table: Value = serde_json::from_str(printed).context("the demo's table is no JSON")?;
    ensure!(table["published"] == DEMO_ORDERS, "the demo did not publish {DEMO_ORDERS} orders");
    ensure!(table["lost"] == 0, "the demo lost messages");
    Ok(())
}

/// Builds the programs with the features of the whole workspace: what the tests were built from is used again.
pub(super) fn build_programs() -> Result<()> {
    cargo(&["build", "--workspace", "--bins"])
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
    fn a_demo_that_lost_messages_or_did_nothing_does_not_pass() {
        assert!(check_table(r#"{"published":2000,"lost":0}"#).is_ok());
        assert!(check_table(r#"{"published":2000,"lost":1}"#).is_err());
        assert!(check_table(r#"{"published":0,"lost":0}"#).is_err());
        assert!(check_table("").is_err());
    }

    #[test]
    fn tests_with_a_broker_of_their_own_are_found_by_name() {
        let source =
            "async fn a() {\n Vhost::new()\n}\nasync fn b() {\n let x = OwnBroker::start().await;\n}";
        assert_eq!(own_broker_tests(source), ["b"]);
    }
}
