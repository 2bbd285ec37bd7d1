//! Confirmed publishing: every publish ends in exactly one outcome.
//!
//! [`ConfirmChannel`] checks a message and takes a place in the window. One task for each exchange (`lane`) owns an AMQP channel
//! and is the only one to publish on it, so publish numbers and frames cannot get out of step. It collects the confirms and
//! asks `tracker` for the verdicts. A lane of its own for each exchange keeps a missing one, which costs the channel and every
//! confirm on it, away from the others.

mod clock;
mod command;
mod confirm_channel;
mod error;
mod flight;
mod lane;
mod pending;
mod tracker;
mod waiters;

pub(crate) use self::command::Told;
pub use self::{
    confirm_channel::ConfirmChannel,
    error::{PublishError, PublishErrorKind},
    pending::{Confirmed, PendingConfirm},
};
