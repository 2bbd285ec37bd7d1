//! Handlers, consumers, layers and services for RabbitMQ, and the ready-made `consumer` service.
//!
//! A [`Service`] runs [`Consumer`]s; a consumer gives the messages of one queue to [`Handler`]s; what a handler returns decides
//! what becomes of the message. Whatever happens in a handler (an error, a panic, too much time, a body that does not decode)
//! becomes such a decision. A delivery is settled exactly once, after its handler has ended.

mod agreement;
mod consumer;
mod contained;
mod context;
mod dispatch;
mod disposition;
mod ending;
mod endpoint;
mod execute;
mod extensions;
mod facts;
mod failure;
mod handler;
mod kill_switch;
mod late;
mod layer;
mod metric;
mod outcome;
mod pace;
mod pipeline;
mod reply;
mod report;
mod route;
mod runner;
mod service;
mod shutdown;
mod slow;
mod tally;
mod waited;
mod watch;
mod work;

pub use self::{
    consumer::{Consumer, UnknownTypes},
    context::Context,
    execute::HOLD_MAX,
    extensions::Extensions,
    failure::{Decision, Failure, FailureKind, OrFailure},
    handler::Handler,
    kill_switch::KillSwitch,
    layer::{Layer, Next},
    outcome::Outcome,
    report::Report,
    route::{HandledBy, Route},
    service::Service,
    shutdown::{Force, shutdown_signal},
    watch::BLOCKED_AFTER,
};
