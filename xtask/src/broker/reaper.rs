//! Removes what a task started when the task ends, however it ends.
//!
//! A killed process runs no destructor, but its pipes close: a child waits for that, and then cleans up.

use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// Runs a cleanup script when this value is dropped or this process ends.
#[derive(Debug)]
pub(super) struct Reaper {
    child: Child,
}

impl Reaper {
    /// `script` is run by `sh` with the arguments as `$1`, `$2`..
    pub(super) fn new(script: &str, arguments: &[&str]) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("cat >/dev/null; {script}"), "reaper"]).args(arguments);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C in the terminal must not end the child before its work is done.
        let child = process::own_group(&mut shell).spawn().context("start the child that cleans up")?;
        Ok(Self { child })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_runs_when_the_reaper_is_dropped_and_not_before() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("done");
        let reaper = Reaper::new("touch \"$1\"", &[file.to_str().unwrap()]).unwrap();
        assert!(!file.exists());
        drop(reaper);
        assert!(file.exists());
    }
}
