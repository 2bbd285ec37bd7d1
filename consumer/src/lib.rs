//! Handlers, consumers, middleware and services for RabbitMQ, and the ready-made `consumer` service.
//!
//! A [`Service`] runs [`Consumer`]s; a consumer gives the messages of one queue to [`Handler`]s; what a handler returns decides
//! what becomes of the message. Whatever happens in a handler (an error, a panic, too much time, a body that does not decode)
//! becomes such a decision. A delivery is settled exactly once, after its handler has ended.

mod consumer;
mod contained;
mod context;
mod ending;
mod endpoint;
mod facts;
mod failure;
mod handler;
mod late;
mod metric;
mod middleware;
mod outcome;
mod pipeline;
mod recover;
mod report;
mod runner;
mod service;
mod shutdown;
mod tally;
mod watch;
mod work;

pub use self::{
    consumer::{Consumer, UnknownTypes},
    context::Context,
    failure::{Decision, Failure, FailureKind, OrFailure},
    handler::Handler,
    middleware::{Middleware, Next},
    recover::HOLD_MAX,
    service::Service,
    shutdown::{Force, shutdown_signal},
    watch::BLOCKED_AFTER,
};
