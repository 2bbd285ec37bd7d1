//! The tiers that need RabbitMQ.

use std::process::Command;

use anyhow::Result;

use super::credentials;
use super::plan::{LIMIT, SUITE_TARGET, cargo, command};
use crate::broker::{self, Broker, Source, image};
use crate::{environment, process};

/// Runs the integration suites: they start their own containers, unless the broker is no container.
pub(super) fn run() -> Result<()> {
    credentials::forget()?;
    let mut test = command(&["test", "--workspace", "--test", SUITE_TARGET]);
    test.env("GARENNE_TEST_LOG", credentials::log_file());
    let broker = outside_broker()?;
    match &broker {
        None => {
            test.env("RABBITMQ_IMAGE", environment::image());
        }
        Some(broker) => {
            test.env("AMQP_URL", &broker.amqp_url).env("RABBITMQ_MANAGEMENT_URL", &broker.management_url);
            if let Source::Installed(server) = &broker.source {
                test.env("RABBITMQCTL", &server.ctl);
            }
        }
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

/// Returns the broker that the suites should use instead of containers: that of `AMQP_URL`, or an installed one where
/// there can be no container.
fn outside_broker() -> Result<Option<Broker>> {
    if environment::amqp_url().is_none() && image::ensure(&environment::image()).is_ok() {
        return Ok(None);
    }
    broker::resolve().map(Some)
}
