//! Confirmed publishing of typed messages, and the ready-made `producer` service.
//!
//! [`Publisher`] is the handle: `publisher.publish(&message).await` is `Ok` only when the broker confirmed the message and
//! routed it to a queue. Everything else is a [`PublishError`] with a kind.
//!
//! ```no_run
//! use garenne_producer::Publisher;
//! use garenne_shared::{Config, ExchangeName, Message, MessageError, MessageType, RoutingKey};
//! use garenne_transport::Client;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct OrderPlaced {
//!     id: u64,
//!     region: String,
//! }
//!
//! // `#[derive(Message)]` of the crate `garenne` writes this.
//! impl Message for OrderPlaced {
//!     const TYPE: MessageType = MessageType::from_static("order.placed.v1");
//!     const EXCHANGE: ExchangeName = ExchangeName::from_static("orders");
//!
//!     fn routing_key(&self) -> Result<RoutingKey, MessageError> {
//!         let key = format!("order.placed.{}", self.region);
//!         key.parse().map_err(|error| MessageError::new(Self::TYPE, error))
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect(Config::from_url("amqp://localhost")?).await?;
//! let publisher = Publisher::new(&client);
//! let order = OrderPlaced { id: 7, region: "eu".to_owned() };
//! let receipt = publisher.publish(&order).header("tenant", "t1").await?;
//! assert!(receipt.routed);
//! # Ok(())
//! # }
//! ```
//!
//! | what happened | result |
//! |---|---|
//! | confirmed, routed | `Ok(Receipt)` |
//! | no queue took it | `Unroutable`, unless [`Publish::allow_unroutable`] |
//! | the exchange does not exist | `NoExchange` |
//! | refused by the broker, and the retries too | `Nacked` |
//! | no confirm came, and none for the retries | `Unknown`: it may or may not be stored |
//! | not sent | `NotSent`, `Blocked`, `TooLarge`, `Encode`, `Closed` |
//!
//! `Nacked`, `Unknown` and `NotSent` are retried with the same message id, see [`Publisher`]; a consumer that must not see a message twice
//! compares ids. For throughput keep several publishes in flight: [`Publisher::publish_all`] does so for a stream,
//! [`Publish::enqueue`] leaves it to you. The order of messages is kept unless one is retried.

mod delivery;
mod draft;
mod enqueued;
mod layer;
mod progress;
mod publish;
mod publish_all;
mod publisher;
mod receipt;
mod stage;

pub use garenne_transport::{PublishError, PublishErrorKind, UnknownCause};

pub use self::{
    enqueued::Enqueued,
    layer::{PublishLayer, PublishNext},
    publish::Publish,
    publisher::Publisher,
    receipt::Receipt,
};
