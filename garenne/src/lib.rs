//! Garenne is the application framework for RabbitMQ: typed messages, publishing that tells the truth, consumers that stay subscribed.
//!
//! ```no_run
//! use garenne::prelude::*;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, Message)]
//! #[message(type = "order.placed.v1", exchange = "orders", key = "order.placed.{region}")]
//! struct OrderPlaced {
//!     id: u64,
//!     region: String,
//!     cents: u64,
//! }
//!
//! async fn bill(order: OrderPlaced, cx: Context) -> Result<(), Failure> {
//!     println!("charging {} cents, attempt {}", order.cents, cx.attempt());
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), garenne::Error> {
//!     let client = Client::connect(Config::from_url("amqp://localhost")?.service("billing")).await?;
//!     let topology = Topology::new()
//!         .exchange(Exchange::topic("orders"))
//!         .queue(Queue::quorum("billing").bind("orders", "order.placed.*").dead_letter());
//!     client.apply(&topology).await?;
//!     Service::new(&client).consume(Consumer::new("billing").handle(bill)).run_until(shutdown_signal()).await
//! }
//! ```
//!
//! Start with [`Client`]: it keeps the connections up, and everything else begins with it.
//!
//! - [`Topology`] says which exchanges, queues and bindings there are; [`Client::apply`] declares them.
//! - [`Publisher`] publishes; `publish(..).await` is `Ok` only if the broker confirmed the message and routed it to a queue.
//! - [`Handler`], [`Consumer`] and [`Service`] consume; what a handler returns decides what becomes of the message.
//! - [`Message`] ties a type to its name, its exchange and its routing key.
//!
//! The crates behind it are re-exported whole, for what is not here: [`shared`], [`topology`], [`transport`], [`producer`],
//! [`consumer`], [`deadletter`].

pub use garenne_consumer as consumer;
pub use garenne_deadletter as deadletter;
pub use garenne_producer as producer;
pub use garenne_shared as shared;
pub use garenne_topology as topology;
pub use garenne_transport as transport;

pub use garenne_consumer::{
    Consumer, Context, Decision, Extensions, Failure, FailureKind, Force, HandledBy, Handler, KillSwitch,
    Layer, Next, OrFailure, Outcome, Report, Route, Service, UnknownTypes, shutdown_signal,
};
pub use garenne_derive::Message;
pub use garenne_producer::{Enqueued, Publish, PublishLayer, PublishNext, Publisher, Receipt};
pub use garenne_shared::{
    Bytes, Codec, CodecError, CodecErrorKind, Codecs, Config, ConfigError, DeliveryMode, ExchangeName,
    HeaderError, HeaderValue, Headers, Incoming, Message, MessageError, MessageType, Metadata, NameError,
    Outgoing, QueueName, Retry, RoutingKey, Secret, ToHeader, codec, config, fingerprint, header,
};
pub use garenne_topology::{
    Binding, ClassicOverflow, ClassicQueue, ContractLimit, DeadLetterStrategy, DeadLetters, Declaration,
    Destination, Exchange, ExchangeDeclaration, ExchangeKind, HashBy, HeadersMatch, MatchValue, Overflow,
    Problem, ProblemKind, Queue, QueueContract, QueueDeclaration, QueueDefinition, QueueKind, QuorumQueue,
    RetryMechanism, RetryTier, StreamQueue, Topology, TopologyError, Warning, WarningKind,
};
pub use garenne_transport::{
    Applied, Capabilities, Client, Clock, ConfirmChannel, ConnectionHealth, ConnectionState, Declared,
    DeclaredAs, Error, ErrorKind, Event, Events, Health, Liveness, Notice, PublishError, PublishErrorKind,
    QueueInfo, Role, UnknownCause, Verified,
};

/// The names that a service usually needs.
pub mod prelude {
    pub use async_trait::async_trait;

    pub use crate::{
        Client, Config, Consumer, Context, Event, Exchange, Failure, HandledBy as _, Handler, Message,
        Metadata, OrFailure, Outgoing, Publisher, Queue, QueueName, Retry, Service, Topology,
        shutdown_signal,
    };
}

/// The README, whose examples are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// The guide to retries, whose example runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/retries.md")]
struct Retries;

/// The guide to dead letters, whose example runs with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/dead-letters.md")]
struct DeadLettersGuide;

/// The guide to what can be added, whose examples run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/extending.md")]
struct Extending;
