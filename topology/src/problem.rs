//! Why a topology is not valid.

use std::fmt;

/// Why a topology is not valid: every problem of it at once.
#[derive(Clone, PartialEq, Eq)]
pub struct TopologyError {
    /// Never empty.
    problems: Vec<Problem>,
}

/// One thing that is wrong with a topology: the object, the rule, the value found, the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    object: String,
    message: String,
}

/// The kind of a [`Problem`], for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// A file is not TOML, or not of the expected shape.
    Syntax,
    /// A queue has an argument that its kind does not support.
    UnsupportedArgument,
    /// A name is refused: too long, or reserved for the broker.
    InvalidName,
    /// One name stands for two different objects.
    Duplicate,
    /// A binding, an alternate exchange or a dead-letter target names what nobody declares.
    UnknownName,
    /// A binding does not fit the type of its exchange.
    InvalidBinding,
    /// A value is out of range.
    OutOfRange,
    /// Two arguments exclude each other.
    Conflict,
    /// Dead letters go round without any consumer, until the broker drops them.
    DeadLetterCycle,
}

// === impl TopologyError ===

impl TopologyError {
    pub(crate) fn from_problems(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }

    /// Returns every problem found.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns the kind of the first problem, for matching.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        self.problems.first().map_or(ProblemKind::Syntax, Problem::kind)
    }
}

impl From<Problem> for TopologyError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [problem] = self.problems.as_slice() {
            return problem.fmt(f);
        }
        write!(f, "{} problems:", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n- {problem}"))
    }
}

/// Shows the causes too: it is what a `main` that returns the error prints.
impl fmt::Debug for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        garenne_shared::Chain(self).fmt(f)
    }
}

impl std::error::Error for TopologyError {}

// === impl Problem ===

impl Problem {
    pub(crate) fn new(kind: ProblemKind, object: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, object: object.into(), message: message.into() }
    }

    /// Returns the kind, for matching.
    #[must_use]
    pub const fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// Returns the name of the queue or exchange that it is about; empty if it is about a file as a whole.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
