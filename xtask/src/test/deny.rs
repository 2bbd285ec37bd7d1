//! Licences, bans, sources and advisories of the dependencies, where cargo-deny is installed.

use std::process::Command;
use std::time::Duration;

use super::plan::cargo;
use super::steps::Steps;
use crate::{environment, process};

const TREE: &str = "cargo-deny: licences, bans, sources";
const ADVISORIES: &str = "cargo-deny: advisories";
const FETCH_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn add(steps: &mut Steps) {
    if !succeeds(&["--version"]) {
        let why = "it is not installed (`cargo install --locked cargo-deny`)";
        steps.leave_out(TREE, why);
        return steps.leave_out(ADVISORIES, why);
    }
    let check = |what: &[&str]| cargo(&[&["deny", "--workspace", "--all-features", "check"], what].concat());
    steps.run(TREE, || check(&["licenses", "bans", "sources"]));
    if succeeds(&["fetch", "db"]) {
        steps.run(ADVISORIES, || check(&["--disable-fetch", "advisories"]));
    } else {
        steps.leave_out(ADVISORIES, "the advisory database cannot be fetched");
    }
}

fn succeeds(arguments: &[&str]) -> bool {
    let mut deny = Command::new(environment::cargo());
    deny.arg("deny").args(arguments).current_dir(environment::root());
    process::output(&mut deny, FETCH_LIMIT).is_ok()
}
