//! How messages are published.

use std::time::Duration;

use serde::Deserialize;

/// How messages are published.
///
/// ```
/// use garenne_shared::config::PublishConfig;
///
/// const SMALL: PublishConfig = PublishConfig::new().window(100).window_bytes(1 << 20);
/// assert_eq!(SMALL.window, 100);
/// ```
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PublishConfig {
    /// How many publishes may await their confirm. The default is 1000.
    pub window: usize,
    /// How many bytes of bodies may await their confirm. The default is 64 MiB.
    pub window_bytes: u64,
    /// How long a publish waits for its confirm. The default is 30 s.
    #[serde(with = "humantime_serde")]
    pub confirm_timeout: Duration,
    /// How long a publish waits while the broker blocks the connection. The default is 30 s.
    #[serde(with = "humantime_serde")]
    pub blocked_timeout: Duration,
    /// The largest body in bytes. The default is 16 MiB, RabbitMQ's own `max_message_size`.
    pub max_message_bytes: u64,
}

// === impl PublishConfig ===

impl Default for PublishConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl PublishConfig {
    /// Makes the defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            window: 1000,
            window_bytes: 64 << 20,
            confirm_timeout: Duration::from_secs(30),
            blocked_timeout: Duration::from_secs(30),
            max_message_bytes: 16 << 20,
        }
    }

    /// Sets how many publishes may await their confirm.
    #[must_use]
    pub const fn window(mut self, publishes: usize) -> Self {
        self.window = publishes;
        self
    }

    /// Sets how many bytes of bodies may await their confirm.
    #[must_use]
    pub const fn window_bytes(mut self, bytes: u64) -> Self {
        self.window_bytes = bytes;
        self
    }

    /// Sets how long a publish waits for its confirm.
    #[must_use]
    pub const fn confirm_timeout(mut self, limit: Duration) -> Self {
        self.confirm_timeout = limit;
        self
    }

    /// Sets how long a publish waits while the broker blocks the connection; zero is not to wait.
    #[must_use]
    pub const fn blocked_timeout(mut self, limit: Duration) -> Self {
        self.blocked_timeout = limit;
        self
    }

    /// Sets the largest body in bytes.
    #[must_use]
    pub const fn max_message_bytes(mut self, bytes: u64) -> Self {
        self.max_message_bytes = bytes;
        self
    }
}
