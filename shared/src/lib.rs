//! The vocabulary of Garenne: names, messages, metadata, codecs, retry policy and configuration.
//!
//! This crate does no I/O and knows no runtime. Everything else in Garenne speaks in its types: a [`Message`] has a
//! [`MessageType`], an [`ExchangeName`] and a [`RoutingKey`]; [`Codecs`] make its body; [`Metadata`] and [`Headers`] travel beside
//! it; [`Config`] says how to reach the broker, and [`Retry`] how often to try.
//!
//! # Glossary
//!
//! Garenne uses the nouns of [AMQP 0-9-1](https://www.rabbitmq.com/tutorials/amqp-concepts), and no synonyms.
//!
//! | word | meaning |
//! |---|---|
//! | exchange | takes published messages and routes them to queues; the default exchange (`""`) routes by queue name |
//! | queue | keeps messages until they are acknowledged: quorum (replicated), classic or stream |
//! | binding | the rule by which an exchange routes to a queue or to another exchange |
//! | routing key | the text of a message that bindings are compared with, such as `order.placed.eu` |
//! | message type | what a message is, such as `order.placed.v1`; it selects the handler |
//! | metadata | the AMQP properties of a message, its headers among them |
//! | confirm | the broker's word on a publish: stored (`basic.ack`) or refused (`basic.nack`) |
//! | return | a message that came back, because no queue takes it: it is unroutable |
//! | delivery | one handing out of a message to a consumer; a message can have several |
//! | settle | to end a delivery: acknowledge, reject, requeue (counted as a failure) or release (not counted) |
//! | prefetch | how many deliveries a consumer may hold unsettled |
//! | attempt | one run of a handler, from 1; a publish has attempts too |
//! | dead letter | a message that was given up, kept in the queue `<queue>.dlq` with the reason in its headers |
//! | epoch | one life of a connection; nothing of an older epoch is sent on a newer one |
//! | topology | exchanges, queues and bindings together |

mod chain;
pub mod codec;
pub mod config;
mod envelope;
mod fingerprint;
mod form;
mod headers;
mod message;
mod metadata;
mod name;
mod original;
mod retry;
mod secret;
pub mod template;

/// The body of a message: bytes that are cheap to clone.
pub use bytes::Bytes;

pub use self::{
    chain::Chain,
    codec::{Codec, CodecError, CodecErrorKind, Codecs},
    config::{Config, ConfigError},
    envelope::{Incoming, Outgoing},
    fingerprint::fingerprint,
    headers::{HeaderError, HeaderValue, Headers, ToHeader, header},
    message::{Message, MessageError},
    metadata::{DeliveryMode, Metadata},
    name::{ExchangeName, MessageType, NameError, QueueName, RoutingKey},
    original::{Original, TextProperty, escape},
    retry::Retry,
    secret::Secret,
};
