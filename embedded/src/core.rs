//! The pure core: commands and the time in, effects out. No sockets, no clock of its own.

mod access;
mod admin;
#[cfg(feature = "management")]
mod admin_messages;
mod answers;
#[cfg(any(test, feature = "fuzzing"))]
mod books;
mod channel;
mod confirms;
mod connection;
mod consume;
mod dead_letter;
mod death;
mod dispatch;
mod effect;
pub(crate) mod erlang;
mod error;
mod exchange;
mod fault_plan;
mod faulty;
pub(crate) mod field;
mod history;
mod ids;
mod message;
mod policy;
pub(crate) mod properties;
mod publish;
mod pump;
mod queue;
mod readable;
mod reply_to;
mod settle;
mod snapshot;
mod state;
pub(crate) mod table;
mod teardown;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod time;
mod timers;
mod topology;
mod transaction;
mod vhost;

pub use self::history::{Fate, Requeued};
pub(crate) use self::{
    access::{Permissions, User},
    answers::{answer_name, is_answer},
    connection::client_name,
    effect::{Carrier, Command, Opening, Output, PublishMethod},
    error::{AmqpError, Scope},
    fault_plan::FaultPlan,
    faulty::is_counted,
    ids::{ChannelId, ConnectionId, ConsumerKey},
    message::{Entry, Key, Message, Name},
    policy::{ApplyTo, Policy as PolicyRule},
    state::{Core, CoreSettings},
    time::Millis,
};
#[cfg(feature = "management")]
pub(crate) use self::{
    admin_messages::Taken,
    exchange::{Exchange, ExchangeKind},
    queue::{Queue, QueueKind},
    vhost::Vhost,
};
