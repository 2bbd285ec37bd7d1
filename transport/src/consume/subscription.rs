//! What to subscribe to, and how: plain data.

use std::time::Duration;

use garenne_shared::{HeaderValue, Headers, QueueName};

/// What to subscribe to, and how.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Subscription {
    /// The queue.
    pub queue: QueueName,
    /// How many deliveries the broker may have outstanding, 1 to 65535. The default is 100.
    pub prefetch: u16,
    /// Whether no other consumer may read the queue. The default is `false`. Quorum queues and streams ignore it: declare a
    /// queue with a single active consumer instead.
    pub exclusive: bool,
    /// Further consumer arguments, such as `x-priority` or `x-stream-offset`.
    ///
    /// After a loss, a stream is read on from the first delivery that was not settled, not from `x-stream-offset` again.
    pub arguments: Headers,
    /// How acknowledgements are gathered.
    pub settle: SettleConfig,
}

/// How acknowledgements are gathered into few frames.
///
/// At a low rate nothing is gathered: an acknowledgement that finds nothing else in flight goes out at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SettleConfig {
    /// Flush after this many. The default is 50, at most half the prefetch.
    pub flush_count: u16,
    /// Flush after this time. The default is 5 ms. A delivery that overtook a slower one waits up to twice as long for it.
    pub flush_interval: Duration,
}

// === impl Subscription ===

impl Subscription {
    /// Makes a subscription with the defaults.
    #[must_use]
    pub fn new(queue: impl Into<QueueName>) -> Self {
        Self {
            queue: queue.into(),
            prefetch: 100,
            exclusive: false,
            arguments: Headers::new(),
            settle: SettleConfig::default(),
        }
    }

    /// Sets how many deliveries the broker may have outstanding.
    #[must_use]
    pub const fn prefetch(mut self, prefetch: u16) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Asks to be the only consumer of the queue.
    #[must_use]
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Adds a consumer argument, such as `x-priority`.
    #[must_use]
    pub fn argument(mut self, name: impl Into<String>, value: impl Into<HeaderValue>) -> Self {
        self.arguments.insert(name, value);
        self
    }

    /// Sets how acknowledgements are gathered.
    #[must_use]
    pub const fn settle(mut self, settle: SettleConfig) -> Self {
        self.settle = settle;
        self
    }
}

// === impl SettleConfig ===

impl Default for SettleConfig {
    fn default() -> Self {
        Self { flush_count: 50, flush_interval: Duration::from_millis(5) }
    }
}

impl SettleConfig {
    /// Flushes after this many.
    #[must_use]
    pub const fn flush_count(mut self, flush_count: u16) -> Self {
        self.flush_count = flush_count;
        self
    }

    /// Flushes after this time.
    #[must_use]
    pub const fn flush_interval(mut self, flush_interval: Duration) -> Self {
        self.flush_interval = flush_interval;
        self
    }
}
