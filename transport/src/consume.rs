//! Consuming: a subscription that comes back by itself, and settling each delivery exactly once.
//!
//! A supervisor task keeps the consumer up (`supervisor`, deciding by `state`); whoever calls [`Subscriber::next`] reads the
//! client's stream directly (`intake`), so a delivery changes threads once; settlements go through one place (`settler`),
//! which makes as few frames of them as it can (`coalescer`). No delivery and no settlement outlives its channel: both carry
//! the channel's generation, and those of an older one are dropped, because the broker delivers them again.

mod coalescer;
mod delivery;
mod intake;
mod registry;
mod settler;
mod state;
mod subscribe;
mod subscriber;
mod subscription;
mod supervisor;

pub(crate) use self::registry::Registry;
pub use self::{
    delivery::{Delivery, Liveness, Settlement, Unsettled},
    subscriber::Subscriber,
    subscription::{SettleConfig, Subscription},
};
/// The consumer argument that says where to begin in a stream, and the header that says where a delivery was.
const STREAM_OFFSET: &str = "x-stream-offset";
