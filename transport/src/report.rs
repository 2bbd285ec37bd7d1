//! What `apply` did and what `verify` found.

use garenne_topology::Declaration;

/// What [`Client::apply`](crate::Client::apply) declared, in order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Applied {
    /// Everything that was declared.
    pub declared: Vec<Declaration>,
}

/// What [`Client::verify`](crate::Client::verify) found in place.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Verified {
    /// Every exchange and queue that exists as expected.
    pub found: Vec<Declaration>,
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
