//! Confirmed publishing of typed messages, and the ready-made `producer` service.

mod publisher;

pub use self::publisher::{Enqueued, Publish, Publisher, Receipt};
