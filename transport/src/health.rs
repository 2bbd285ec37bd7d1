//! A snapshot of what is really up.

use std::time::Duration;

/// A snapshot of what is really up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// The publishing connection.
    pub publish: ConnectionHealth,
    /// The consuming connection.
    pub consume: ConnectionHealth,
    /// How many subscriptions exist.
    pub subscriptions: usize,
    /// How many of them the broker confirmed on the present connection.
    pub subscribed: usize,
    /// How many publishes await their confirm.
    pub unconfirmed: usize,
    /// What else is wrong, oldest first: what [`Client::problem`](crate::Client::problem) reported and still lasts.
    pub problems: Vec<String>,
    /// What is worth knowing and makes nothing less ready, oldest first: what [`Client::notice`](crate::Client::notice) reported and still
    /// lasts.
    pub notices: Vec<String>,
}

/// The state of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionHealth {
    /// What it is doing.
    pub state: ConnectionState,
    /// How often it was opened.
    pub epoch: u64,
    /// How long the broker has blocked it, if it has.
    pub blocked_for: Option<Duration>,
}

/// What a connection is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// Not needed so far.
    Idle,
    /// Being opened.
    Connecting,
    /// Up.
    Connected,
    /// Closed for good.
    Closed,
}

// === impl Health ===

impl Health {
    /// Returns `true` if no connection that is needed is down, every subscription is confirmed, and there are no problems.
    ///
    /// A blocked connection is degraded, not down.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let up = |connection: &ConnectionHealth| {
            matches!(connection.state, ConnectionState::Idle | ConnectionState::Connected)
        };
        up(&self.publish)
            && up(&self.consume)
            && self.subscriptions == self.subscribed
            && self.problems.is_empty()
    }
}
