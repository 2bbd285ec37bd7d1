//! The order of the steps: what is quick, or fails most often, first. Features are those of the whole workspace, so that one
//! build serves all tests.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::steps::Steps;
use super::{clients, credentials, deny, suite};
use crate::broker::image::Preparing;
use crate::{api, environment, process, tidy};

/// No step takes longer than this; a test that waits for ever is a failure.
pub(super) const LIMIT: Duration = Duration::from_secs(1800);

const SUITES: &str = "integration suites against RabbitMQ";
const CREDENTIALS: &str = "no credential in any log of that run";
const DEMO: &str = "demo on RabbitMQ: 2000 orders with cut connections, lost 0";
const EMBEDDED_DEMO: &str = "demo on the embedded broker: 2000 orders with cut connections, lost 0";
const CLIENTS: &str = "clients of other languages: pika and aio-pika see the same on both brokers";
/// The steps that need a broker.
pub(super) const BROKER_TIERS: [&str; 4] = [SUITES, CREDENTIALS, DEMO, CLIENTS];

/// The packages that nobody uses outside of this workspace.
const NEVER_ALONE: [&str; 4] = ["garenne-benches", "garenne-examples", "garenne-tests", "xtask"];

/// The integration suites on the embedded broker.
const EMBEDDED_TARGET: &str = "embedded";

/// The test targets that need RabbitMQ.
pub(super) const BROKER_TARGETS: [&str; 2] = ["suite", "conformance"];

/// Adds the steps that need no broker.
pub(super) fn without_broker(steps: &mut Steps) -> Result<()> {
    let workspace = Workspace::read()?;
    steps.run("invariants of the source", tidy::check_all);
    steps.run("formatting", || cargo(&["fmt", "--all", "--check"]));
    steps.run("clippy, warnings denied", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
    });
    steps.run("rustdoc, warnings denied", || {
        let mut doc = command(&["doc", "--workspace", "--no-deps", "--lib"]);
        process::run(doc.env("RUSTDOCFLAGS", "-D warnings"), LIMIT)
    });
    steps.run("the public API is the recorded one", api::check);
    deny::add(steps);
    steps.run("unit tests", || {
        let mut test = command(&["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--examples"]);
        for target in workspace
            .tests
            .iter()
            .filter(|&target| !BROKER_TARGETS.contains(&target.as_str()) && target != EMBEDDED_TARGET)
        {
            test.args(["--test", target]);
        }
        process::run(&mut test, LIMIT)
    });
    steps.run("suites on the embedded broker", || {
        // Its tests mostly wait, and each has a broker of its own. The whole workspace is named for its features: one package alone has
        // others, and would be built anew.
        cargo(&["test", "--workspace", "--test", EMBEDDED_TARGET, "--", "--test-threads=8"])
    });
    steps.run("conformance, the half of the embedded broker", || {
        // Filtered by the module that the embedded broker's tests are in; the broker tier runs both halves.
        cargo(&["test", "--workspace", "--test", "conformance", "--", "::embedded::"])
    });
    steps.run(EMBEDDED_DEMO, suite::embedded_demo);
    steps.run("documentation tests", || cargo(&["test", "--workspace", "--no-fail-fast", "--doc"]));
    steps.run("feature `backoff` of garenne-shared", || {
        cargo(&["test", "--package", "garenne-shared", "--features", "backoff"])
    });
    steps.run("each crate alone", || {
        // Features only unify in a build of several crates: alone, a crate that borrows a neighbour's shows.
        let mut used = workspace.packages.iter().filter(|&package| !NEVER_ALONE.contains(&package.as_str()));
        used.try_for_each(|package| cargo(&["check", "--quiet", "--package", package]))
    });
    Ok(())
}

/// Adds the steps that need a broker.
pub(super) fn with_broker(steps: &mut Steps, image: Preparing) {
    let mut left_out = Vec::new();
    steps.run(SUITES, || suite::run(image, &mut left_out));
    if !left_out.is_empty() {
        steps.leave_out("tests with a broker of their own", &format!("no Docker: {}", left_out.join(", ")));
    }
    steps.run(CREDENTIALS, credentials::search);
    steps.run(DEMO, suite::demo);
    match clients::missing() {
        Some(why) => steps.leave_out(CLIENTS, &why),
        None => steps.run(CLIENTS, clients::run),
    }
}

/// The members of the workspace and their integration tests.
struct Workspace {
    packages: Vec<String>,
    tests: Vec<String>,
}

impl Workspace {
    fn read() -> Result<Self> {
        let printed = process::output(
            &mut command(&["metadata", "--no-deps", "--format-version", "1"]),
            Duration::from_secs(120),
        )?;
        let metadata: Value = serde_json::from_str(&printed).context("cargo metadata")?;
        let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
        let names = packages.iter().filter_map(|package| package["name"].as_str()).map(str::to_owned);
        let targets = packages.iter().filter_map(|package| package["targets"].as_array()).flatten();
        let tests = targets.filter(|target| target["kind"][0] == "test");
        let tests = tests.filter_map(|target| target["name"].as_str()).map(str::to_owned);
        Ok(Self { packages: names.collect(), tests: tests.collect() })
    }
}

pub(super) fn cargo(arguments: &[&str]) -> Result<()> {
    process::run(&mut command(arguments), LIMIT)
}

pub(super) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(environment::cargo());
    command.current_dir(environment::root()).args(arguments);
    if environment::is_ci() {
        // Nothing is built twice there: incremental data would only cost time and space.
        command.env("CARGO_INCREMENTAL", "0");
    }
    command
}
