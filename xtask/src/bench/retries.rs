//! Measures what failed messages cost the others, by the place in which they wait.

use std::fmt::Write as _;

use super::{
    Args,
    programs::{Run, median, retrying},
    show,
};

/// The name of the table in the page.
const RETRIES: &str = "retries";

/// Measures with and without failures in turn, and shows the medians.
pub(super) fn measure(args: &Args) -> anyhow::Result<()> {
    let broker = crate::broker::resolve()?;
    let programs = retrying();
    let mut runs: Vec<Vec<Run>> = programs.iter().map(|_| Vec::new()).collect();
    for round in 1..=args.rounds {
        for (program, runs) in programs.iter().zip(&mut runs) {
            let run = program.run(&mut program.command(&broker.amqp_url, args.count))?;
            eprintln!("round {round}: {} {:.0}/s", program.name, run.per_second);
            runs.push(run);
        }
    }
    let mut text =
        format!("Medians of {} alternating rounds, {} messages each.\n\n", args.rounds, args.count);
    writeln!(text, "| consuming | messages/s | to none that fails | target |\n|---|---:|---:|---:|")?;
    for (pair, programs) in runs.chunks(2).zip(programs.chunks(2)) {
        let [none, some] = [&pair[0], &pair[1]].map(|runs| median(runs, |run| run.per_second));
        writeln!(text, "| {} | {none:.0} | | |", programs[0].name)?;
        writeln!(text, "| {} | {some:.0} | {:.2} | at least 0.90 |", programs[1].name, some / none)?;
    }
    show(RETRIES, &text, args)
}
