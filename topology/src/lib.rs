//! The topology model: exchanges, queues, bindings and dead-letter wiring, with validation. No I/O.

mod declaration;

pub use self::declaration::{Binding, Declaration, Destination, ExchangeDeclaration, QueueDeclaration};

/// A set of exchanges, queues and bindings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topology {}

// === impl Topology ===

impl Topology {
    /// Makes an empty topology.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns everything to declare, in the safe order: dead-letter side first, then exchanges, queues, bindings.
    #[must_use]
    pub fn declarations(&self) -> Vec<Declaration> {
        todo!()
    }
}
