//! Rustdoc's JSON. It is an unstable option: `RUSTC_BOOTSTRAP` allows it, and is set for rustdoc alone. Set for cargo, it would have
//! every dependency built anew whose build script looks at it, here and again in the next ordinary build.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{environment, process};

const LIMIT: Duration = Duration::from_secs(1800);
const JSON: [&str; 3] = ["-Zunstable-options", "--output-format", "json"];

/// Documents the libraries of the workspace, with the features that it has as a whole: what the other steps have built is used again.
pub(super) fn of_workspace() -> Result<()> {
    let mut cargo = Command::new(environment::cargo());
    cargo.current_dir(environment::root()).args(["doc", "--quiet", "--workspace", "--no-deps", "--lib"]);
    cargo.env("RUSTDOCFLAGS", JSON.join(" "));
    cargo.env("RUSTDOC", std::env::current_exe()?).env(environment::STAND_IN, "1");
    process::run(&mut cargo, LIMIT)
}

/// Returns the file about a library that [`of_workspace`] has written.
pub(super) fn file(library: &str) -> PathBuf {
    environment::target().join("doc").join(format!("{}.json", library.replace('-', "_")))
}

/// Documents a crate of one file and returns the file in that folder.
#[cfg(test)]
pub(super) fn of_file(source: &std::path::Path, folder: &std::path::Path) -> Result<PathBuf> {
    let mut rustdoc = allowed();
    rustdoc
        .args(["--edition", "2024", "--crate-name", "lib"])
        .args(JSON)
        .arg("--out-dir")
        .arg(folder)
        .arg(source);
    process::run(&mut rustdoc, LIMIT)?;
    Ok(folder.join("lib.json"))
}

/// Where cargo calls this program instead of rustdoc, calls rustdoc and returns how it ended.
pub(crate) fn stand_in() -> Option<Result<ExitCode>> {
    environment::is_stand_in().then(|| {
        let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
        let status = allowed().args(arguments).status().context("rustdoc")?;
        Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn allowed() -> Command {
    let mut rustdoc = Command::new("rustdoc");
    rustdoc.env("RUSTC_BOOTSTRAP", "1").env_remove(environment::STAND_IN);
    rustdoc
}
