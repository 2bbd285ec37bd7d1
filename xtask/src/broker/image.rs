//! The image that brokers are started from: present, pulled, or built.

use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use super::docker;
use crate::{broker_image, process};

/// How long a pull may take; without a registry it fails within a second.
const PULL_LIMIT: Duration = Duration::from_secs(180);
const INSPECT_LIMIT: Duration = Duration::from_secs(60);

/// An image that is pulled or built while something else is done: both mostly wait for the network.
#[derive(Debug)]
pub(crate) struct Preparing(Option<JoinHandle<Result<()>>>);

impl Preparing {
    pub(crate) fn start(image: String) -> Self {
        Self(Some(thread::spawn(move || ensure(&image))))
    }

    /// Waits until the image is there, or cannot be had.
    pub(crate) fn wait(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        let Some(thread) = self.0.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("preparing the image panicked"))?
    }
}

impl Drop for Preparing {
    fn drop(&mut self) {
        // A build that is left alone half-way leaves its root file system behind.
        let _ = self.join();
    }
}

/// Makes sure that the image is there, and says how; fails with what each of the ways lacked.
pub(crate) fn ensure(image: &str) -> Result<()> {
    let version = docker::version().context("Docker")?;
    if docker::docker(&["image", "inspect", image], INSPECT_LIMIT).is_ok() {
        eprintln!("broker: image {image}, because Docker {version} has it");
        return Ok(());
    }
    eprintln!("broker: Docker {version} does not have the image {image}: pulling it");
    let pull = process::try_output(Command::new("docker").args(["pull", "--quiet", image]), PULL_LIMIT);
    let lack = match pull {
        Ok(output) if output.status.success() => {
            eprintln!("broker: image {image}, pulled");
            return Ok(());
        }
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("{error:#}"),
    };
    eprintln!("broker: the image cannot be pulled ({lack}): building it, as `cargo xtask broker-image` does");
    broker_image::build(image).with_context(|| format!("image {image}: cannot be pulled ({lack}), nor built"))
}
