//! The topology of the demo: one topic exchange, a work queue and two subscribers.

use garenne::prelude::*;

/// The queues that each order must reach.
pub(crate) const QUEUES: [&str; 3] = ["billing", "notifications", "audit"];

/// Returns the topology: `billing` is shared by competing consumers, `notifications` and `audit` get a copy each.
pub(crate) fn topology() -> Topology {
    Topology::new()
        .exchange(Exchange::topic("orders"))
        .queue(Queue::quorum("billing").bind("orders", "order.placed.*").dead_letter())
        .queue(Queue::quorum("notifications").bind("orders", "order.placed.*").dead_letter())
        .queue(Queue::quorum("audit").bind("orders", "order.#").dead_letter())
}
