//! The only crate that names lapin: supervised connections, confirmed publishing, consuming, settling, declaring.
//!
//! lapin opens, authenticates, keeps alive and closes a connection. Channels are this crate's own, and it sees every frame (`wire`): so no
//! message of a peer and no refusal of the broker stops anybody else, and a verdict rests on what the broker said. Nothing that lapin logs
//! reaches a subscriber: at `TRACE` it prints the bytes of the password.

mod capabilities;
mod client;
mod clock;
mod consume;
mod content;
mod convert;
mod declare;
mod describe;
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
mod wire;

pub use self::{
    capabilities::Capabilities,
    client::Client,
    clock::Clock,
    consume::{Delivery, Liveness, SettleConfig, Settlement, Subscriber, Subscription, Unsettled},
    content::Stamp,
    describe::{METRICS, Metric, MetricKind},
    error::{Error, ErrorKind},
    event::{Event, Events, Role},
    health::{ConnectionHealth, ConnectionState, Health},
    problem::{Notice, Problem},
    publish::{
        ConfirmChannel, Confirmed, PendingConfirm, PublishError, PublishErrorKind, Sent, UnknownCause,
    },
    report::{Applied, Declared, DeclaredAs, QueueInfo, Verified},
};
