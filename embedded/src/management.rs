//! The management API: what tools read and change over HTTP, with RabbitMQ's paths and fields.
//!
//! <https://www.rabbitmq.com/docs/http-api-reference>

mod change;
mod cluster;
mod convert;
mod definitions;
mod messages;
mod objects;
mod page;
mod route;
mod server;

pub(crate) use self::server::serve;
