//! Confirmed publishing of typed messages, and the ready-made `producer` service.
//!
//! [`Publisher`] is the handle: `publisher.publish(&message).await` is `Ok` only when the broker confirmed the message and
//! routed it to a queue. Everything else is a [`PublishError`] with a kind.
//!
//! | what happened | result |
//! |---|---|
//! | confirmed, routed | `Ok(Receipt)` |
//! | no queue took it, or the exchange does not exist | `Unroutable`, unless [`Publish::allow_unroutable`] |
//! | refused by the broker, and the retries too | `Nacked` |
//! | no confirm came, and none for the retries | `Unknown`: it may or may not be stored |
//! | not sent | `Blocked`, `TooLarge`, `Encode`, `Closed` |

mod delivery;
mod draft;
mod enqueued;
mod progress;
mod publish;
mod publish_all;
mod publisher;
mod receipt;

pub use garenne_transport::{PublishError, PublishErrorKind};

pub use self::{enqueued::Enqueued, publish::Publish, publisher::Publisher, receipt::Receipt};
