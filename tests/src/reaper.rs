//! Removes containers when this process ends, however it ends.
//!
//! A static is never dropped, a test binary leaves through `exit`, and a killed process runs nothing at all.
//! What always happens is that its pipes close: a child waits for that, and then removes the container.

use std::process::{Child, Command, Stdio};

/// Watches over containers for as long as this value, or this process, lives.
#[derive(Debug)]
pub(crate) struct Reaper {
    child: Child,
}

impl Reaper {
    /// Starts to watch over the container of this name, which need not exist yet.
    pub(crate) fn watch(container: &str) -> Self {
        Self::run("cat; exec docker rm --force --volumes \"$0\"", &[container])
    }

    /// Starts to watch over containers and their network.
    pub(crate) fn watch_cluster(network: &str, containers: &[String]) -> Self {
        let names: Vec<_> = std::iter::once(network).chain(containers.iter().map(String::as_str)).collect();
        Self::run("cat; docker rm --force --volumes \"$@\"; exec docker network rm \"$0\"", &names)
    }

    /// Runs a script that begins by waiting for the end of its input.
    fn run(script: &str, arguments: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).args(arguments);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // Ctrl-C in the terminal must not end the child before its work is done.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let child = shell.spawn().expect("a child that removes the broker's container can be started");
        Self { child }
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
