//! How connections, channels and consumers are named inside the core.

use super::Name;

/// A connection, never reused.
pub(crate) type ConnectionId = u64;

/// A channel's number on its connection.
pub(crate) type ChannelId = u16;

/// A consumer, unique while it lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConsumerKey {
    /// Its connection.
    pub(crate) connection: ConnectionId,
    /// Its channel.
    pub(crate) channel: ChannelId,
    /// Its consumer tag.
    pub(crate) tag: Name,
}
