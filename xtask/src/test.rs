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
use crate::broker::image::Preparing;
use crate::environment;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave out every tier that needs a broker; the closing lines say so
    #[arg(long)]
    fast: bool,
    /// Go on after a failure
    #[arg(long)]
    keep_going: bool,
}

/// Runs every step and prints a summary; stops at the first failure unless told otherwise.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut steps = Steps::new(options.keep_going);
    let image = (!options.fast).then(|| Preparing::start(environment::image()));
    plan::without_broker(&mut steps)?;
    match image {
        Some(image) => plan::with_broker(&mut steps, image),
        None => plan::BROKER_TIERS.iter().for_each(|tier| steps.leave_out(tier, "--fast was given")),
    }
    Ok(steps.finish())
}
