//! `cargo xtask broker`: a broker to work with by hand.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::{broker, interrupt, process};

/// Starts a broker, prints its URLs in a form that a shell can read, and keeps it until Ctrl-C.
pub(crate) fn run() -> Result<ExitCode> {
    let broker = broker::resolve()?;
    println!("AMQP_URL={}", broker.amqp_url);
    println!("RABBITMQ_MANAGEMENT_URL={}", broker.management_url);
    if !matches!(broker.source, broker::Source::Given) {
        eprintln!("broker: running until Ctrl-C");
        while !interrupt::requested() {
            process::pause(Duration::from_millis(100));
        }
        eprintln!("broker: removing it");
    }
    Ok(ExitCode::SUCCESS)
}
