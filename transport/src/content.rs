//! A message's properties and headers as Garenne's values and back.
//!
//! What a peer sends is never refused: it becomes a value as well as it can, and its bytes are kept beside it. What is published again
//! with such metadata goes out as it came wherever nobody changed it, so that a copy of a foreign message is that message. What we
//! cannot send is refused with the rule that it breaks.

mod decode;
mod encode;

pub use self::encode::Stamp;
pub(crate) use self::{
    decode::{header_int, incoming},
    encode::encode,
};

/// How deep lists and tables may nest: far beyond what people write, and far below what could exhaust the stack.
const MAX_DEPTH: usize = 32;

/// The AMQP values of `delivery_mode`.
const PERSISTENT: u8 = 2;
const TRANSIENT: u8 = 1;

/// The bits of the property flags (AMQP 0-9-1 section 4.2.6.1).
mod flag {
    pub(super) const CONTENT_TYPE: u16 = 1 << 15;
    pub(super) const CONTENT_ENCODING: u16 = 1 << 14;
    pub(super) const HEADERS: u16 = 1 << 13;
    pub(super) const DELIVERY_MODE: u16 = 1 << 12;
    pub(super) const PRIORITY: u16 = 1 << 11;
    pub(super) const CORRELATION_ID: u16 = 1 << 10;
    pub(super) const REPLY_TO: u16 = 1 << 9;
    pub(super) const EXPIRATION: u16 = 1 << 8;
    pub(super) const MESSAGE_ID: u16 = 1 << 7;
    pub(super) const TIMESTAMP: u16 = 1 << 6;
    pub(super) const TYPE: u16 = 1 << 5;
    pub(super) const USER_ID: u16 = 1 << 4;
    pub(super) const APP_ID: u16 = 1 << 3;
    pub(super) const CLUSTER_ID: u16 = 1 << 2;
}

#[cfg(test)]
mod tests;
