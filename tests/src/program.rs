//! The programs of the workspace, built when a test first asks for them.

use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::log;

/// Builds a program of the workspace, if it is not up to date, and returns its path.
///
/// Cargo names the binaries of a package only to that package's own tests; here it is asked.
pub async fn program(package: &str, name: &str) -> PathBuf {
    // One build at a time: a second one would only wait for cargo's lock, and say so on standard error.
    static BUILD: Mutex<()> = Mutex::const_new(());
    let _one = BUILD.lock().await;
    // The features of the whole workspace: what its tests were built from is used again.
    let arguments = ["build", "--quiet", "--message-format=json", "--workspace", "--bin", name];
    let build = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = build.await.expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo cannot build {name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .filter(|message| message["package_id"].as_str().is_some_and(|id| id.contains(package)))
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .unwrap_or_else(|| panic!("cargo built no program {name}"))
}

/// Panics if what a program printed shows a password of this run.
#[track_caller]
pub fn check_output(program: &str, printed: &str) {
    assert!(!log::shows_credential(printed), "{program} shows a credential: {printed}");
}
