//! Handlers, consumers, middleware and services for RabbitMQ, and the ready-made `consumer` service.
//!
//! A [`Service`] runs [`Consumer`]s; a consumer gives the messages of one queue to [`Handler`]s; what a handler returns decides
//! what becomes of the message. Whatever happens in a handler (an error, a panic, too much time, a body that does not decode)
//! becomes such a decision. A delivery is settled exactly once, after its handler has ended.

mod consumer;
mod context;
mod endpoint;
mod failure;
mod handler;
mod metric;
mod middleware;
mod pipeline;
mod recover;
mod runner;
mod service;
mod shutdown;

pub use self::{
    consumer::{Consumer, UnknownTypes},
    context::Context,
    failure::{Decision, Failure, FailureKind, OrFailure},
    handler::Handler,
    middleware::{Middleware, Next},
    recover::HOLD_MAX,
    service::Service,
    shutdown::shutdown_signal,
};
