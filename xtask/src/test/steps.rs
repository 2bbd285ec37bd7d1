//! Steps with a heading, a time and an outcome, and the summary at the end.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::interrupt;

/// What became of the steps so far.
#[derive(Debug)]
pub(super) struct Steps {
    keep_going: bool,
    start: Instant,
    done: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    took: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed(String),
    DidNotRun(String),
}

impl Steps {
    pub(super) fn new(keep_going: bool) -> Self {
        Self { keep_going, start: Instant::now(), done: Vec::new() }
    }

    /// Runs a step unless an earlier failure forbids it.
    pub(super) fn run(&mut self, name: &str, step: impl FnOnce() -> Result<()>) {
        if interrupt::requested() {
            return self.leave_out(name, "interrupted");
        }
        if self.failed() && !self.keep_going {
            return self.leave_out(name, "an earlier step failed");
        }
        eprintln!("\n=== {name}");
        let start = Instant::now();
        let outcome = match step() {
            Ok(()) => Outcome::Passed,
            Err(error) => {
                eprintln!("error: {error:#}");
                Outcome::Failed(format!("{error:#}").lines().next().unwrap_or_default().to_owned())
            }
        };
        self.done.push(Step { name: name.to_owned(), outcome, took: start.elapsed() });
    }

    /// Notes that a step did not run, and why: the closing lines say it.
    pub(super) fn leave_out(&mut self, name: &str, why: &str) {
        let outcome = Outcome::DidNotRun(why.to_owned());
        self.done.push(Step { name: name.to_owned(), outcome, took: Duration::ZERO });
    }

    /// Prints one line a step and what it comes to.
    pub(super) fn finish(self) -> ExitCode {
        eprintln!("\n=== Summary");
        for line in self.summary() {
            eprintln!("{line}");
        }
        if self.failed() || interrupt::requested() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn failed(&self) -> bool {
        self.done.iter().any(|step| matches!(step.outcome, Outcome::Failed(_)))
    }

    fn summary(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.done.iter().map(Step::line).collect();
        let left_out = self.done.iter().filter(|step| matches!(step.outcome, Outcome::DidNotRun(_))).count();
        let failed = self.done.iter().filter(|step| matches!(step.outcome, Outcome::Failed(_))).count();
        let passed = self.done.len() - left_out - failed;
        let seconds = self.start.elapsed().as_secs();
        lines.push(format!(
            "{passed} passed, {failed} failed, {left_out} DID NOT RUN, in {}:{:02} min",
            seconds / 60,
            seconds % 60
        ));
        lines
    }
}

impl Step {
    fn line(&self) -> String {
        let Self { name, outcome, took } = self;
        match outcome {
            Outcome::Passed => format!("passed       {:>6.1} s  {name}", took.as_secs_f64()),
            Outcome::Failed(why) => format!("FAILED       {:>6.1} s  {name}: {why}", took.as_secs_f64()),
            Outcome::DidNotRun(why) => format!("DID NOT RUN            {name}: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn steps_after_a_failure_do_not_run_and_the_summary_says_so() {
        let mut steps = Steps::new(false);
        steps.run("a", || Ok(()));
        steps.run("b", || bail!("no"));
        steps.run("c", || unreachable!("an earlier step failed"));
        let summary = steps.summary();
        assert!(summary[0].starts_with("passed"), "{summary:?}");
        assert!(summary[1].ends_with("b: no"), "{summary:?}");
        assert_eq!(summary[2], "DID NOT RUN            c: an earlier step failed");
        assert!(summary[3].starts_with("1 passed, 1 failed, 1 DID NOT RUN"), "{summary:?}");
    }

    #[test]
    fn steps_after_a_failure_run_when_told_to_keep_going() {
        let mut steps = Steps::new(true);
        steps.run("a", || bail!("no"));
        let mut ran = false;
        steps.run("b", || {
            ran = true;
            Ok(())
        });
        assert!(ran && steps.failed());
    }
}
