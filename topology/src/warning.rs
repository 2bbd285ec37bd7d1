//! What is allowed and yet likely a mistake.

use std::fmt;

/// Something that is allowed and yet likely a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    kind: WarningKind,
    object: String,
    message: String,
}

/// The kind of a [`Warning`], for matching.
#[non_exhaustive]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarningKind {
    /// A quorum queue drops what it gives up on. Say `without_dead_letter` if that is meant.
    NoDeadLetter,
    /// Nobody is bound to an exchange. Say `bound_elsewhere` if somebody else binds to it.
    UnboundExchange,
    /// A queue dead-letters to an exchange from which its messages reach no queue of this topology.
    DeadLetterUnrouted,
    /// Dead letters that come around because of the delivery limit are dropped by the broker.
    DroppedInCycle,
    /// An exclusive queue goes with the connection that declared it, and so with every reconnect.
    ExclusiveQueue,
    /// An auto-delete queue goes with its last consumer, and so with a lost connection.
    AutoDeleteQueue,
}

// === impl Warning ===

impl Warning {
    pub(crate) fn new(kind: WarningKind, object: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind, object: object.into(), message: message.into() }
    }

    /// Returns the kind, for matching.
    #[must_use]
    pub const fn kind(&self) -> WarningKind {
        self.kind
    }

    /// Returns the name of the queue or exchange that it is about.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
