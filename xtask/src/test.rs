//! `cargo xtask test`: everything that must hold before a change is merged. `.ci/run` is this command.

mod clients;
mod credentials;
mod deny;
mod plan;
mod steps;
mod suite;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use self::steps::Steps;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave out every tier that needs a broker or a release build; the closing lines say so
    #[arg(long)]
    fast: bool,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
}

/// Runs every step and prints a summary; stops at the first failure unless told otherwise.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut steps = Steps::new(options.keep_going);
    plan::without_broker(&mut steps)?;
    if options.fast {
        for tier in plan::SLOW_TIERS {
            steps.leave_out(tier, "--fast was given");
        }
    } else {
        plan::with_broker(&mut steps);
        plan::with_release_build(&mut steps);
    }
    Ok(steps.finish())
}
