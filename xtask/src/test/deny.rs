//! Licences, bans, sources and advisories of the dependencies, with cargo-deny, which is installed if it is missing.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::plan::{LIMIT, command};
use super::steps::Steps;
use crate::{environment, process};

const TREE: &str = "cargo-deny: licences, bans, sources";
const ADVISORIES: &str = "cargo-deny: advisories";
const FETCH_LIMIT: Duration = Duration::from_secs(120);
/// The version that is installed; a newer one that is there already serves as well.
const VERSION: &str = "0.20.2";

/// Adds the checks. Without the tool they fail; only advisories are left out where their database cannot be had.
pub(super) fn add(steps: &mut Steps) {
    let mut tool = None;
    steps.run(TREE, || {
        let found = find_or_install()?;
        let checked = check(&found, &["licenses", "bans", "sources"]);
        tool = Some(found);
        checked
    });
    let Some(tool) = tool else { return steps.leave_out(ADVISORIES, "cargo-deny did not run") };
    if answers(&tool, &["fetch", "db"]) {
        steps.run(ADVISORIES, || check(&tool, &["--disable-fetch", "advisories"]));
    } else {
        steps.leave_out(ADVISORIES, "the advisory database cannot be fetched");
    }
}

fn check(tool: &PathBuf, what: &[&str]) -> Result<()> {
    let mut check = Command::new(tool);
    check.current_dir(environment::root()).args(["--workspace", "--all-features", "check"]).args(what);
    process::run(&mut check, LIMIT)
}

/// Finds the tool in `PATH` or among the project's own, or builds it: once, for what is built stays in the target directory.
fn find_or_install() -> Result<PathBuf> {
    let tools = environment::target().join("tools");
    let own = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    for tool in [PathBuf::from("cargo-deny"), own.clone()] {
        if answers(&tool, &["--version"]) {
            return Ok(tool);
        }
    }
    eprintln!("cargo-deny is not installed; building it, which takes some minutes the first time");
    let mut install = command(&["install", "cargo-deny", "--locked", "--version", VERSION]);
    // Unoptimized, it is built in half the time and still done in seconds.
    install.arg("--debug").arg("--root").arg(&tools).arg("--target-dir").arg(tools.join("build"));
    process::run(&mut install, LIMIT).context(
        "licences, bans and sources cannot be checked without cargo-deny: install it, or let cargo reach crates.io",
    )?;
    let _ = std::fs::remove_dir_all(tools.join("build"));
    Ok(own)
}

fn answers(tool: &PathBuf, arguments: &[&str]) -> bool {
    let mut deny = Command::new(tool);
    deny.args(arguments).current_dir(environment::root());
    process::output(&mut deny, FETCH_LIMIT).is_ok()
}
