//! The embedded broker in a process of its own, so that nothing of it is counted to its client.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{environment, process};

/// A running `garenne broker`; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct EmbeddedBroker {
    child: Child,
    pub(super) url: String,
}

// === impl EmbeddedBroker ===

impl EmbeddedBroker {
    /// Starts the broker of the release build on a free port.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut command = Command::new(environment::target().join("release/garenne"));
        command.args(["broker", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = process::own_group(&mut command).spawn().context("cannot run `garenne broker`")?;
        let output = child.stdout.take().context("its standard output is a pipe")?;
        let mut broker = Self { child, url: String::new() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        line.split_whitespace().next().unwrap_or_default().clone_into(&mut broker.url);
        ensure!(broker.url.starts_with("amqp://"), "`garenne broker` told no URL, but `{}`", line.trim());
        Ok(broker)
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        // It keeps nothing that could be lost.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
