#![doc = include_str!("../README.md")]

mod admin;
mod broker;
mod builder;
mod clock;
mod core;
pub mod faults;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod inspect;
mod io;
#[cfg(feature = "management")]
mod management;
mod watch;

/// The values and tables of AMQP, for policies and to look into headers.
pub use amq_protocol::types;

pub use self::{
    admin::{AdminError, Policy},
    broker::Broker,
    builder::{Builder, StartError},
    faults::{AnswerFault, Fault, Faults},
};
