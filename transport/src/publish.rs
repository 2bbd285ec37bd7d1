//! Confirmed publishing: every publish ends in exactly one outcome.
//!
//! [`ConfirmChannel`] checks a message, encodes it and takes a place in the window. A `lane` for each exchange sends it at once where a
//! channel is open, in the order of its publish numbers; its worker opens channels and watches over deadlines. `generation` is one
//! channel in confirm mode, and `confirms` decides every verdict from what the broker says. One lane per exchange: a missing exchange fails
//! only its own confirms.

mod command;
mod confirm_channel;
mod confirms;
mod error;
mod generation;
mod lane;
mod pending;
mod stopwatch;
mod window;

pub(crate) use self::command::Outcome;
pub use self::{
    confirm_channel::ConfirmChannel,
    error::{PublishError, PublishErrorKind, UnknownCause},
    pending::{Confirmed, PendingConfirm, Sent},
};
