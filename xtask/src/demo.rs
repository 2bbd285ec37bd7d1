//! `cargo demo`: the main job, on the embedded broker, or with `--docker` on a RabbitMQ that is started for it.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{broker, environment};

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Handed to `garenne demo` as they are, but for `--docker`, which starts a RabbitMQ to run it on
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// The flag that asks for a RabbitMQ.
const DOCKER: &str = "--docker";

/// Builds the command line, resolves a broker if one is asked for, runs the demo, removes the broker; the exit code is the demo's.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (on_rabbitmq, arguments) = split(&options.arguments)?;
    let cli = ["--package", "garenne-cli", "--bin", "garenne"];
    // Built first: a mistake in the code should not cost the start of a broker.
    let build = cargo().arg("build").args(cli).status().context("cargo build")?;
    ensure!(build.success(), "the command line does not compile");

    let mut demo = cargo();
    demo.args(["run", "--quiet"]).args(cli).args(["--", "demo"]);
    let broker = if on_rabbitmq { Some(broker::resolve()?) } else { None };
    if let Some(broker) = &broker {
        demo.args(["--url", &broker.amqp_url]);
    }
    // Ctrl-C reaches the demo from the terminal; it stops in order, and this task waits for that.
    let status = demo.args(arguments).status().context("garenne demo")?;
    drop(broker);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or_else(|| ExitCode::from(130), ExitCode::from))
}

fn cargo() -> Command {
    let mut command = Command::new(environment::cargo());
    command.current_dir(environment::root());
    command
}

/// Tells whether the demo is to run on RabbitMQ, and what remains for the demo itself.
fn split(arguments: &[String]) -> Result<(bool, Vec<&String>)> {
    let rest: Vec<_> = arguments.iter().filter(|&argument| argument != DOCKER).collect();
    let on_rabbitmq = rest.len() < arguments.len();
    let has_url = rest.iter().any(|argument| *argument == "--url" || argument.starts_with("--url="));
    ensure!(!(on_rabbitmq && has_url), "`--docker` starts a broker and `--url` names one; give one of them");
    Ok((on_rabbitmq, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rabbitmq_is_only_started_when_asked_for() {
        let arguments = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let json = "--json".to_owned();
        for (given, expected) in [
            (&[][..], (false, vec![])),
            (&["--json"], (false, vec![&json])),
            (&["--docker", "--json"], (true, vec![&json])),
        ] {
            assert_eq!(split(&arguments(given)).ok(), Some(expected), "{given:?}");
        }
        split(&arguments(&["--docker", "--url", "amqp://localhost"]))
            .expect_err("there is one broker too many");
    }
}
