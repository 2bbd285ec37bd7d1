//! The vocabulary of Garenne: names, messages, metadata, codecs, retry policy and configuration.
//!
//! This crate does no I/O and knows no runtime. Everything else in Garenne speaks in its types.

pub mod codec;
pub mod config;
mod envelope;
mod headers;
mod message;
mod metadata;
mod name;
mod retry;
mod secret;

/// The body of a message: bytes that are cheap to clone.
pub use bytes::Bytes;

pub use self::{
    codec::{Codec, CodecError, CodecErrorKind, Codecs},
    config::{Config, ConfigError},
    envelope::{Incoming, Outgoing},
    headers::{HeaderValue, Headers, header},
    message::{Message, MessageError},
    metadata::{DeliveryMode, Metadata},
    name::{ExchangeName, MessageType, NameError, QueueName, RoutingKey},
    retry::{Growth, Retry},
    secret::Secret,
};
