//! `cargo xtask outages`: how soon a client comes back after an outage, and whether anything was lost, as a table.

use std::{
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::{broker::image, environment, page, process};

/// The options of `cargo xtask outages`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The same seed gives the same outages in the same order.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many outages; by default 200 of one broker, and 12 of a cluster.
    #[arg(long)]
    count: Option<u32>,
    /// Plays them on the embedded broker: only those of the network and of permissions.
    #[arg(long, conflicts_with = "cluster")]
    embedded: bool,
    /// Plays those of a cluster of three nodes.
    #[arg(long)]
    cluster: bool,
    /// Makes every outage as short as it can be.
    #[arg(long)]
    short: bool,
    /// Writes the table into `docs/reliability.md` instead of standard output only.
    #[arg(long)]
    write: bool,
}

/// Builds the player, plays, and prints the table; fails if anything was lost, any verdict was wrong, or something never came back.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let root = environment::root();
    if !args.embedded {
        image::ensure(&environment::image())?;
    }
    let status = Command::new(environment::cargo())
        .args(["build", "--quiet", "--package", "garenne-tests", "--bin", "garenne-outages"])
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "the build failed");

    let mut play = Command::new(environment::target().join("debug/garenne-outages"));
    let options = args.options();
    let output = play
        .args(&options)
        .env("RABBITMQ_IMAGE", environment::image())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run garenne-outages")?;
    let table = String::from_utf8_lossy(&output.stdout);
    println!("{table}");
    if args.write {
        let setting = format!(
            "`cargo xtask outages {} --write`, {}, {}.\n\n{}",
            options.join(" "),
            args.broker()?,
            revision(),
            table.trim_end()
        );
        page::write(args.marker(), &setting, &root.join("docs/reliability.md"))?;
    }
    Ok(if output.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

// === impl Args ===

impl Args {
    fn options(&self) -> Vec<String> {
        let count = self.count.unwrap_or(if self.cluster { 12 } else { 200 });
        let mut options = vec![format!("--seed={}", self.seed), format!("--count={count}")];
        let flags = [(self.embedded, "--embedded"), (self.cluster, "--cluster"), (self.short, "--short")];
        options.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.to_owned()));
        options
    }

    const fn marker(&self) -> &'static str {
        match (self.embedded, self.cluster) {
            (true, _) => "embedded",
            (_, true) => "cluster",
            _ => "single",
        }
    }

    /// Names what the outages were played on.
    fn broker(&self) -> anyhow::Result<String> {
        if self.embedded {
            return Ok("the embedded broker".to_owned());
        }
        let image = environment::image();
        let mut version = Command::new("docker");
        version.args(["run", "--rm", "--pull=never", "--entrypoint", "rabbitmqctl", &image, "version"]);
        let version = process::output(&mut version, Duration::from_secs(60))?;
        let nodes = if self.cluster { "three nodes of " } else { "" };
        Ok(format!("{nodes}RabbitMQ {}", version.trim()))
    }
}

/// Names the commit that was measured; there is none outside of a repository.
fn revision() -> String {
    let describe = ["describe", "--always", "--dirty", "--exclude=*"];
    let mut git = Command::new("git");
    git.current_dir(environment::root()).args(describe);
    process::output(&mut git, Duration::from_secs(10))
        .map_or_else(|_| "no commit".to_owned(), |commit| format!("commit {}", commit.trim()))
}
