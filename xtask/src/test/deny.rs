//! Advisories, licences, bans and sources of the dependencies, where cargo-deny is installed.

use std::process::Command;
use std::time::Duration;

use super::plan::cargo;
use super::steps::Steps;
use crate::{environment, process};

const NAME: &str = "cargo-deny: advisories, licences, bans, sources";

pub(super) fn add(steps: &mut Steps) {
    let mut version = Command::new(environment::cargo());
    version.args(["deny", "--version"]);
    match process::output(&mut version, Duration::from_secs(60)) {
        Ok(_) => steps.run(NAME, || cargo(&["deny", "--workspace", "--all-features", "check"])),
        Err(_) => steps.leave_out(NAME, "it is not installed (`cargo install --locked cargo-deny`)"),
    }
}
