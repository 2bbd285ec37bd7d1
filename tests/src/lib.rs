//! The fixture of the integration suites: a real RabbitMQ, a vhost for each test, and ways to wait and to look.
//!
//! ```no_run
//! # async fn example() {
//! use garenne_tests::{SECONDS, Vhost, eventually};
//!
//! let vhost = Vhost::new().await;
//! // .. connect to `vhost.url()`, declare, publish ..
//! eventually(60 * SECONDS, "the queue holds one message", async || match vhost.depth("billing").await {
//!     1 => Ok(()),
//!     other => Err(other),
//! })
//! .await;
//! # }
//! ```
//!
//! The broker comes from `AMQP_URL` if that is set, else from one container for the whole run (testcontainers, the image named by
//! `RABBITMQ_IMAGE`). Without either the tests fail: they never pass silently.
//! Every log line of the run goes through [`log`], which looks for credentials.

#![expect(clippy::missing_panics_doc, reason = "a fixture reports by panicking: that is a failed test")]

mod admin;
mod broker;
mod cluster;
mod container;
mod eventually;
pub mod log;
pub mod outages;
mod own_broker;
mod program;
mod reaper;
mod runtime;
pub mod stampede;
mod target;
mod vhost;
pub mod wire;

use std::time::Duration;

pub use garenne_cli::{Direction, Flow, Mode, Proxy};

pub use crate::admin::{Admin, encode};
pub use crate::broker::Broker;
pub use crate::cluster::Cluster;
pub use crate::eventually::eventually;
pub use crate::own_broker::OwnBroker;
pub use crate::program::{check_output, program};
pub use crate::target::{Target, User};
pub use crate::vhost::{Counts, Vhost};

/// One second, to write deadlines with.
pub const SECONDS: Duration = Duration::from_secs(1);
