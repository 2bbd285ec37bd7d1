//! The read side of RabbitMQ's management API: what a vhost holds, in the words of Garenne's topology.
//!
//! ```no_run
//! use garenne_management::Management;
//!
//! # async fn example() -> Result<(), garenne_management::ManagementError> {
//! let management = Management::connect("http://guest:guest@localhost:15672").await?;
//! let observed = management.observe("/").await?;
//! for queue in &observed.queues {
//!     println!("{}: {:?} ready, policy {:?}", queue.name, queue.ready, queue.policy);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! - [`Management`] is the client. It only reads: nothing that it sends changes the broker. Every request has a deadline.
//! - [`ManagementConfig`] says where the API is and who asks.
//! - [`Observed`] is what [`Management::observe`] reads: the broker, and exchanges, queues, bindings and policies of one vhost.
//! - [`ManagementError`] names the object, the URL without its credentials, the status and the remedy.
//!
//! It works with RabbitMQ 4.x, and with the management API of the embedded broker.
//!
//! # What the user needs
//!
//! The user needs a tag, of which `management` is the least, and access to the vhost.
//! [`Management::nodes`] needs the tag `monitoring`; without it, connections, channels and consumers are those of the user alone.
//!
//! # How fresh it is
//!
//! What is declared is read as it is; counts of messages and consumers, connections and channels are statistics, which a broker
//! renews every 5 s unless it is configured otherwise (`collect_statistics_interval`).

mod client;
mod config;
mod error;
mod form;
mod http;
mod observed;
mod page;
mod path;

pub use self::{
    client::Management,
    config::ManagementConfig,
    error::{ManagementError, ManagementErrorKind},
    observed::{
        Alarm, Listener, Observed, ObservedBinding, ObservedBroker, ObservedChannel, ObservedConnection,
        ObservedConsumer, ObservedDestination, ObservedExchange, ObservedNode, ObservedPolicy, ObservedQueue,
        ObservedVhost,
    },
};
