//! The environment of the tasks: the one place that reads it.

#![expect(clippy::disallowed_methods, reason = "binaries read the environment in one place: this one")]

use std::env;
use std::path::{Path, PathBuf};

/// Returns the broker that the user named; it is used as it is, and nothing is started.
pub(crate) fn amqp_url() -> Option<String> {
    env::var("AMQP_URL").ok().filter(|url| !url.is_empty())
}

/// Returns where the management API of that broker is, if it is not on port 15672 of the same host.
pub(crate) fn management_url() -> Option<String> {
    env::var("RABBITMQ_MANAGEMENT_URL").ok().filter(|url| !url.is_empty())
}

/// Returns the name of the image that brokers are started from.
pub(crate) fn image() -> String {
    env::var("RABBITMQ_IMAGE")
        .ok()
        .filter(|image| !image.is_empty())
        .unwrap_or_else(|| "rabbitmq:4-management".to_owned())
}

/// Returns whether this runs in continuous integration.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false")
}

/// Set for cargo where it is to call this program instead of rustdoc.
pub(crate) const STAND_IN: &str = "GARENNE_XTASK_RUSTDOC";

/// Returns whether cargo has called this program instead of rustdoc.
pub(crate) fn is_stand_in() -> bool {
    env::var_os(STAND_IN).is_some()
}

/// Returns the cargo that runs this task.
pub(crate) fn cargo() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// Returns the root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a directory of the workspace")
}

/// Returns the target directory, as cargo sees it.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |target| root().join(target))
}

/// Finds a program in `PATH` or in one of the directories besides.
pub(crate) fn find_program(name: &str, besides: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // What the caller names comes first: a wrapper in `PATH` may do more than is wanted.
    let directories = besides.iter().map(PathBuf::from).chain(env::split_paths(&path));
    directories.map(|directory| directory.join(name)).find(|candidate| candidate.is_file())
}
