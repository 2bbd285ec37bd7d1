//! The topology model: exchanges, queues, bindings and dead-letter wiring, with validation. No I/O.
//!
//! ```
//! use std::time::Duration;
//! use garenne_topology::{Exchange, Queue, Topology};
//!
//! let topology = Topology::new()
//!     .exchange(Exchange::topic("orders").alternate("unrouted"))
//!     .exchange(Exchange::fanout("unrouted"))
//!     .queue(Queue::quorum("billing").bind("orders", "order.placed.*").dead_letter())
//!     .queue(Queue::quorum("unrouted").bind("unrouted", "").without_dead_letter())
//!     .queue(Queue::stream("log").bind("orders", "#").max_age(Duration::from_secs(7 * 24 * 3600)));
//! let warnings = topology.validate().expect("it does not contradict itself");
//! assert!(warnings.is_empty());
//! assert!(topology.queue_names().any(|queue| queue == "billing.dlq"));
//! ```
//!
//! - [`Topology`] collects [`Exchange`]s and queues: [`QuorumQueue`] (the default choice), [`ClassicQueue`], [`StreamQueue`].
//! - [`Topology::validate`] finds what contradicts itself before any broker is asked, all of it in one [`TopologyError`].
//! - [`Topology::declarations`] is what a broker is told, in the order in which nothing can get lost.
//! - [`Topology::from_toml`] reads the same model from a file.

mod binding;
mod declaration;
mod exchange;
mod file;
mod mechanism;
mod order;
mod problem;
mod queue;
mod routes;
mod tier;
mod topology;
mod validate;
mod warning;

pub use self::{
    binding::{HeadersMatch, MatchValue},
    declaration::{Binding, Declaration, Destination, ExchangeDeclaration, QueueDeclaration},
    exchange::{Exchange, ExchangeKind, HashBy},
    mechanism::RetryMechanism,
    problem::{Problem, ProblemKind, TopologyError},
    queue::{
        ClassicOverflow, ClassicQueue, ContractLimit, DeadLetterStrategy, DeadLetters, Overflow, Queue,
        QueueContract, QueueDefinition, QueueKind, QuorumQueue, StreamQueue,
    },
    tier::RetryTier,
    topology::Topology,
    warning::{Warning, WarningKind},
};
