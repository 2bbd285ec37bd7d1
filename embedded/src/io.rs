//! The shell around the core: sockets, frames, handshakes. [`engine`] and what it uses do no I/O and are tested without any.

mod answers;
mod assembly;
mod connection;
mod encode;
mod engine;
mod fault;
mod frame;
mod handshake;
mod hub;
mod layout;
mod limits;
mod line;
mod listener;
mod login;
mod method;
mod outbox;
mod peer;
mod session;
#[cfg(any(test, feature = "fuzzing"))]
mod testing;

#[cfg(feature = "management")]
pub(crate) use self::handshake::RABBITMQ_VERSION;
pub(crate) use self::{
    engine::Engine,
    frame::FRAME_MIN_SIZE,
    hub::Hub,
    limits::Limits,
    listener::{Stop, listen},
};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::{outbox::HIGH, peer::PeerId, testing::bench_core};
