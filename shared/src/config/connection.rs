//! How connections are opened and kept.

use std::time::Duration;

use serde::Deserialize;

use crate::Retry;

/// How connections are opened and kept.
///
/// ```
/// use std::time::Duration;
/// use garenne_shared::config::ConnectionConfig;
///
/// let connection = ConnectionConfig::new().heartbeat(Duration::from_secs(5)).wait(Duration::from_secs(60));
/// assert_eq!(connection.rpc_timeout, Duration::from_secs(10));
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ConnectionConfig {
    /// The limit for the TCP connect and, apart from it, for the AMQP handshake. The default is 10 s.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long the first connect goes on trying while no broker can be reached, with the delays of `reconnect`. The default is
    /// 0 s: it fails at once. A broker that refuses user, password or vhost is not tried again.
    #[serde(with = "humantime_serde")]
    pub wait: Duration,
    /// The heartbeat asked for; the broker may lower it. The default is 10 s.
    #[serde(with = "humantime_serde")]
    pub heartbeat: Duration,
    /// The largest frame in bytes. The default is 131072; the broker may lower it.
    pub frame_max: u32,
    /// The delays between attempts to connect. The default is exponential from 100 ms to 2 s, with jitter, without limit.
    pub reconnect: Retry,
    /// The limit for declaring, cancelling and closing. The default is 10 s.
    #[serde(with = "humantime_serde")]
    pub rpc_timeout: Duration,
    /// How long a connection may be silent, apart from heartbeats, before the broker is asked for a sign of life. The default is 1 s.
    #[serde(with = "humantime_serde")]
    pub probe_after: Duration,
    /// How long the broker may take to give that sign, before the connection is given up. The default is 3 s.
    #[serde(with = "humantime_serde")]
    pub probe_timeout: Duration,
}

// === impl ConnectionConfig ===

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl ConnectionConfig {
    /// Makes the defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            wait: Duration::ZERO,
            heartbeat: Duration::from_secs(10),
            frame_max: 131_072,
            reconnect: Retry::exponential(Duration::from_millis(100)..=Duration::from_secs(2)).jitter(true),
            rpc_timeout: Duration::from_secs(10),
            probe_after: Duration::from_secs(1),
            probe_timeout: Duration::from_secs(3),
        }
    }

    /// Sets the limit for the TCP connect and for the AMQP handshake.
    #[must_use]
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long the first connect goes on trying.
    #[must_use]
    pub const fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// Sets the heartbeat.
    #[must_use]
    pub const fn heartbeat(mut self, heartbeat: Duration) -> Self {
        self.heartbeat = heartbeat;
        self
    }

    /// Sets the largest frame in bytes.
    #[must_use]
    pub const fn frame_max(mut self, bytes: u32) -> Self {
        self.frame_max = bytes;
        self
    }

    /// Sets the delays between attempts to connect.
    #[must_use]
    pub fn reconnect(mut self, reconnect: Retry) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Sets the limit for declaring, cancelling and closing.
    #[must_use]
    pub const fn rpc_timeout(mut self, limit: Duration) -> Self {
        self.rpc_timeout = limit;
        self
    }

    /// Sets how long a connection may be silent before the broker is asked for a sign of life.
    #[must_use]
    pub const fn probe_after(mut self, silence: Duration) -> Self {
        self.probe_after = silence;
        self
    }

    /// Sets how long the broker may take to give a sign of life.
    #[must_use]
    pub const fn probe_timeout(mut self, limit: Duration) -> Self {
        self.probe_timeout = limit;
        self
    }
}
