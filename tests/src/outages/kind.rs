//! What can happen to one broker and the network before it.

use std::fmt;

/// A kind of outage of one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every connection is reset, several times in a row.
    Cuts,
    /// The broker stops in an orderly way and starts again.
    Restart,
    /// The port is refused for seconds.
    Refused,
    /// The port is refused so long that a backoff has grown to its end.
    RefusedLong,
    /// Connections are accepted and closed without a byte.
    AcceptThenClose,
    /// What either side sends is lost, and neither is told.
    HalfOpen,
    /// What the client sends is lost, but its heartbeats and all that the broker sends arrive.
    FrozenToBroker,
    /// What the broker sends is lost, but its heartbeats and all that the client sends arrive.
    FrozenToClient,
    /// Bytes trickle.
    Slow,
    /// Every process of the broker stands still.
    Paused,
    /// The password is changed, connections are closed, and the password is restored.
    Password,
    /// The permission to write is taken, and restored.
    Permission,
    /// The queue is deleted, and declared again.
    QueueGone,
    /// The exchange is deleted, and declared again.
    ExchangeGone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Cuts,
        Self::Restart,
        Self::Refused,
        Self::RefusedLong,
        Self::AcceptThenClose,
        Self::HalfOpen,
        Self::FrozenToBroker,
        Self::FrozenToClient,
        Self::Slow,
        Self::Paused,
        Self::Password,
        Self::Permission,
        Self::QueueGone,
        Self::ExchangeGone,
    ];

    /// Returns whether it takes a broker that belongs to nobody else.
    #[must_use]
    pub const fn needs_own_broker(self) -> bool {
        matches!(self, Self::Restart | Self::Paused)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cuts => "cuts in series",
            Self::Restart => "broker restarted",
            Self::Refused => "port refused",
            Self::RefusedLong => "port refused long",
            Self::AcceptThenClose => "accepted, then closed",
            Self::HalfOpen => "half-open",
            Self::FrozenToBroker => "frozen towards the broker",
            Self::FrozenToClient => "frozen towards the client",
            Self::Slow => "slow",
            Self::Paused => "broker paused",
            Self::Password => "password wrong, restored",
            Self::Permission => "permission taken, restored",
            Self::QueueGone => "queue deleted, declared again",
            Self::ExchangeGone => "exchange deleted, declared again",
        })
    }
}
