//! `cargo demo`: the main job, on a broker that is started for it.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{broker, environment};

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Handed to `garenne demo` as they are; with `--url` no broker is started
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the command line, resolves a broker, runs the demo, removes the broker; the exit code is the demo's.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let cli = ["--package", "garenne-cli", "--bin", "garenne"];
    // Built first: a mistake in the code should not cost the start of a broker.
    let build = cargo().arg("build").args(cli).status().context("cargo build")?;
    ensure!(build.success(), "the command line does not compile");

    let mut demo = cargo();
    demo.args(["run", "--quiet"]).args(cli).args(["--", "demo"]);
    let broker = if needs_broker(&options.arguments) { Some(broker::resolve()?) } else { None };
    if let Some(broker) = &broker {
        demo.env("AMQP_URL", &broker.amqp_url).env("RABBITMQ_MANAGEMENT_URL", &broker.management_url);
    }
    // Ctrl-C reaches the demo from the terminal; it stops in order, and this task waits for that.
    let status = demo.args(&options.arguments).status().context("garenne demo")?;
    drop(broker);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or_else(|| ExitCode::from(130), ExitCode::from))
}

fn cargo() -> Command {
    let mut command = Command::new(environment::cargo());
    command.current_dir(environment::root());
    command
}

/// Returns whether the demo will connect to a broker that the user did not name.
fn needs_broker(arguments: &[String]) -> bool {
    !arguments.iter().any(|argument| {
        argument == "--url" || argument.starts_with("--url=") || argument == "--help" || argument == "-h"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_broker_is_started_for_a_named_one_or_for_help() {
        let needs = |arguments: &[&str]| {
            needs_broker(&arguments.iter().map(|&argument| argument.to_owned()).collect::<Vec<_>>())
        };
        assert!(needs(&[]));
        assert!(needs(&["--orders", "100", "--json"]));
        assert!(!needs(&["--url", "amqp://h"]));
        assert!(!needs(&["--url=amqp://h"]));
        assert!(!needs(&["--help"]));
    }
}
