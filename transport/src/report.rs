//! What `apply` did and what `verify` found.

use std::fmt;

use garenne_topology::{Binding, Declaration, Destination, Warning};

/// What [`Client::apply`](crate::Client::apply) did. It displays as a report of one line for each object.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Applied {
    /// Everything that was declared, in order.
    pub declared: Vec<Declared>,
    /// What somebody else declares, and was there.
    pub external: Vec<Destination>,
    /// What is allowed and yet likely a mistake.
    pub warnings: Vec<Warning>,
}

/// One object that was declared.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Declared {
    /// The object.
    pub declaration: Declaration,
    /// What declaring it did.
    pub how: DeclaredAs,
}

/// What declaring an object did.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeclaredAs {
    /// The exchange or queue was not there; it was created.
    Created,
    /// The exchange or queue was there already, with the same properties.
    Found,
    /// The binding is there. AMQP does not tell whether it was before.
    Bound,
}

/// What [`Client::verify`](crate::Client::verify) found in place. It displays as a report.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// Every exchange and queue; all of them exist. Whether they have the declared properties cannot be asked without declaring.
    pub found: Vec<Destination>,
    /// The bindings, which AMQP cannot be asked about.
    pub unverified: Vec<Binding>,
    /// What is allowed and yet likely a mistake.
    pub warnings: Vec<Warning>,
}

/// What the broker says of a queue at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// Messages ready for delivery; those delivered and not yet settled do not count.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

// === impl Applied ===

impl Applied {
    /// Returns the exchanges and queues that were created, in order.
    pub fn created(&self) -> impl Iterator<Item = &Declaration> {
        self.declared
            .iter()
            .filter(|declared| declared.how == DeclaredAs::Created)
            .map(|declared| &declared.declaration)
    }
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for object in &self.external {
            writeln!(f, "found    {} (external)", show(object))?;
        }
        for Declared { declaration, how } in &self.declared {
            writeln!(f, "{how:<8} {}", show_declaration(declaration))?;
        }
        warnings(f, &self.warnings)?;
        let count = |how| self.declared.iter().filter(|declared| declared.how == how).count();
        let found = count(DeclaredAs::Found) + self.external.len();
        write!(f, "{} created, {found} found, {} bound", count(DeclaredAs::Created), count(DeclaredAs::Bound))
    }
}

// === impl DeclaredAs ===

impl fmt::Display for DeclaredAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Found => "found",
            Self::Bound => "bound",
        })
    }
}

// === impl Verified ===

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for object in &self.found {
            writeln!(f, "found    {}", show(object))?;
        }
        warnings(f, &self.warnings)?;
        write!(f, "{} found", self.found.len())?;
        match self.unverified.len() {
            0 => Ok(()),
            count => write!(f, "; {count} bindings not verified: AMQP cannot be asked about them"),
        }
    }
}

fn warnings(f: &mut fmt::Formatter<'_>, warnings: &[Warning]) -> fmt::Result {
    warnings.iter().try_for_each(|warning| writeln!(f, "warning  {warning}"))
}

/// Names an exchange or a queue.
pub(crate) fn show(object: &Destination) -> String {
    match object {
        Destination::Exchange(name) => format!("exchange `{name}`"),
        Destination::Queue(name) => format!("queue `{name}`"),
    }
}

/// Names a declared object.
pub(crate) fn show_declaration(declaration: &Declaration) -> String {
    match declaration {
        Declaration::Exchange(exchange) => format!("exchange `{}`", exchange.name),
        Declaration::Queue(queue) => format!("queue `{}`", queue.name),
        Declaration::Binding(Binding { source, destination, routing_key, arguments }) => {
            let by = if arguments.is_empty() { format!("key `{routing_key}`") } else { "headers".to_owned() };
            format!("{} to exchange `{source}` by {by}", show(destination))
        }
    }
}
