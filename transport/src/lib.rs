//! The only crate that names lapin: supervised connections, confirmed publishing, consuming, settling, declaring.

mod capabilities;
mod client;
mod consume;
mod content;
mod convert;
mod declare;
mod dial;
mod error;
mod event;
mod fault;
mod health;
mod inspect;
mod link;
mod metric;
mod problem;
mod publish;
mod remove;
mod report;
mod runtime;
#[cfg(feature = "service")]
pub mod service;
mod tls;
mod wire;

pub use self::{
    capabilities::Capabilities,
    client::Client,
    consume::{Delivery, SettleConfig, Settlement, Subscriber, Subscription, Unsettled},
    error::{Error, ErrorKind},
    event::{Event, Events, Role},
    health::{ConnectionHealth, ConnectionState, Health},
    problem::Problem,
    publish::{ConfirmChannel, Confirmed, PendingConfirm, PublishError, PublishErrorKind},
    report::{Applied, Declared, DeclaredAs, QueueInfo, Verified},
};

/// The log filter that binaries use unless told otherwise.
///
/// lapin is silent: what it says of lost channels this crate says with the name of the object, and it prints the whole bodies of
/// returned messages.
pub const DEFAULT_LOG_FILTER: &str = "info,lapin=off";

/// The directive that binaries add to whatever filter they were given.
///
/// At the level `TRACE` lapin prints every frame that it sends, the bytes of the password in `connection.start-ok` among them.
pub const LOG_FILTER_GUARD: &str = "lapin::io_loop=debug";
