//! What can be known to be wrong before any broker is asked.

mod arguments;
mod bindings;
mod dead_letters;
mod names;
#[cfg(test)]
mod tests;

use crate::{Problem, ProblemKind, Topology, TopologyError, Warning, WarningKind, routes::Routes};

/// What was found so far.
#[derive(Debug, Default)]
struct Findings {
    problems: Vec<Problem>,
    warnings: Vec<Warning>,
}

// === impl Topology ===

impl Topology {
    /// Finds what contradicts itself, before any broker is asked; returns what is allowed and yet likely a mistake.
    ///
    /// A *dead-letter cycle* is an error if messages go round without any consumer: every queue of it passes them on by itself,
    /// because of a message TTL or of a length limit with `drop-head`. RabbitMQ silently drops what comes to a queue a second time
    /// unless a consumer rejected it on the way ("Automatically dead-lettering cycles" on <https://www.rabbitmq.com/docs/dlx>). With one queue
    /// in it that only a consumer can empty, it is the usual way to retry after a delay. A dead letter is followed only where its way
    /// is certain: through the default exchange, fanout exchanges, and direct and topic exchanges with a
    /// declared dead-letter key.
    ///
    /// # Errors
    ///
    /// Fails with every problem at once: unknown names, one name for different objects, reserved names, bindings that do not fit
    /// their exchange, values out of range, arguments that exclude each other, dead-letter cycles.
    pub fn validate(&self) -> Result<Vec<Warning>, TopologyError> {
        let routes = Routes::new(self);
        let mut findings = Findings::default();
        names::check(&routes, &mut findings);
        bindings::check(&routes, &mut findings);
        for queue in &routes.queues {
            arguments::check(queue, &mut findings);
        }
        dead_letters::check(&routes, &mut findings);
        TopologyError::from_problems(findings.problems)?;
        Ok(findings.warnings)
    }
}

// === impl Findings ===

impl Findings {
    fn problem(&mut self, kind: ProblemKind, object: impl AsRef<str>, message: impl Into<String>) {
        let problem = Problem::new(kind, object.as_ref(), message);
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn warn(&mut self, kind: WarningKind, object: impl AsRef<str>, message: impl Into<String>) {
        let warning = Warning::new(kind, object.as_ref(), message);
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}
