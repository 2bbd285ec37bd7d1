//! The proof of a publish.

use std::time::Duration;

/// Proof that the broker confirmed a message and routed it to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The id the message was published with.
    pub message_id: String,
    /// Whether a queue took it. Always `true`, except after [`Publish::allow_unroutable`](crate::Publish::allow_unroutable)
    /// and for an [`Outgoing`](garenne_shared::Outgoing) that is not mandatory.
    pub routed: bool,
    /// How many attempts it took; above 1 the broker may hold duplicates with the same id.
    pub attempts: u32,
    /// The time from the first sending to the confirm.
    pub latency: Duration,
}
