//! Where failed messages wait for their next attempt, and what that guarantees.

use std::{fmt, time::Duration};

use crate::{QueueContract, RetryTier};

/// Where the failed messages of a queue wait for their next attempt. As text it says so, with the delays.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RetryMechanism {
    /// In the queue itself: the broker delays them (`x-delayed-retry-type`, RabbitMQ 4.3 or later).
    Queue {
        /// The first delay; it grows by itself each time.
        first: Duration,
        /// The longest delay.
        longest: Duration,
    },
    /// In these tiers, shortest first.
    Tiers(Vec<RetryTier>),
    /// In the consumer, which holds the delivery.
    Consumer,
    /// The topology has no policy: in the consumer, by its own.
    Unsaid,
}

// === impl RetryMechanism ===

impl RetryMechanism {
    /// Returns what becomes of a message that waits when something breaks.
    #[must_use]
    pub const fn guarantee(&self) -> &'static str {
        match self {
            Self::Queue { .. } => "no copy is made: waiting neither loses a message nor doubles it",
            Self::Tiers(_) => {
                "at least once: a crash between the confirmed copy and the acknowledgement delivers it twice, with one message id"
            }
            Self::Consumer | Self::Unsaid => {
                "no copy is made; it takes a place of the prefetch, for a minute at most, and a stop or a crash ends the wait"
            }
        }
    }
}

impl fmt::Display for RetryMechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |delay: &Duration| humantime::format_duration(*delay);
        match self {
            Self::Queue { first, longest } => {
                write!(f, "in the queue, where the broker delays them ({} to {})", show(first), show(longest))
            }
            Self::Tiers(tiers) => {
                f.write_str("in retry tiers (")?;
                for (at, tier) in tiers.iter().enumerate() {
                    let separator = if at == 0 { "" } else { ", " };
                    write!(f, "{separator}{}", show(&tier.delay()))?;
                }
                f.write_str(")")
            }
            Self::Consumer => f.write_str("in the consumer"),
            Self::Unsaid => f.write_str("in the consumer, by its own policy"),
        }
    }
}

// === impl QueueContract ===

impl QueueContract {
    /// Returns where failed messages wait; `broker_delays` says whether the broker can delay them (RabbitMQ 4.3 or later).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use garenne_shared::Retry;
    /// use garenne_topology::{Queue, QueueContract};
    ///
    /// let minute = Duration::from_secs(60);
    /// let linear = QueueContract::from(&Queue::quorum("billing").retry(Retry::linear(minute..=5 * minute)));
    /// assert_eq!(
    ///     linear.retry_mechanism(true).to_string(),
    ///     "in the queue, where the broker delays them (1m to 5m)"
    /// );
    /// assert_eq!(linear.retry_mechanism(false).to_string(), "in the consumer");
    /// ```
    #[must_use]
    pub fn retry_mechanism(&self, broker_delays: bool) -> RetryMechanism {
        let Some(policy) = &self.retry else { return RetryMechanism::Unsaid };
        match policy.linear_delays() {
            Some((first, longest)) if self.broker_delays() && broker_delays => {
                RetryMechanism::Queue { first, longest }
            }
            _ if self.retry_tiers.is_empty() => RetryMechanism::Consumer,
            _ => RetryMechanism::Tiers(self.retry_tiers.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use garenne_shared::Retry;

    use super::*;
    use crate::{Queue, QueueDefinition};

    #[track_caller]
    fn check(queue: impl Into<QueueDefinition>, on_4_3: &str, before: &str) {
        let contract = queue.into().contract();
        assert_eq!(contract.retry_mechanism(true).to_string(), on_4_3);
        assert_eq!(contract.retry_mechanism(false).to_string(), before);
    }

    #[test]
    fn policy_and_broker_decide_where_a_message_waits() {
        let second = Duration::from_secs(1);
        let broker = "in the queue, where the broker delays them (10s to 10s)";
        check(Queue::quorum("q").retry(Retry::fixed(10 * second)), broker, "in the consumer");
        let ladder = "in retry tiers (1s, 2s, 4s, 8s)";
        check(
            Queue::quorum("q").retry(Retry::fixed(10 * second)).retry_after_max(8 * second),
            broker,
            ladder,
        );
        let tiers = "in retry tiers (1s, 2s, 3s)";
        check(Queue::quorum("q").retry(Retry::exponential(second..=3 * second)), tiers, tiers);
        check(Queue::classic("q").retry(Retry::linear(second..=3 * second)), tiers, tiers);
        check(
            Queue::quorum("q").retry(Retry::exponential(second / 10..=second / 2)),
            "in the consumer",
            "in the consumer",
        );
        let own = "in the consumer, by its own policy";
        check(Queue::quorum("q"), own, own);
        check(Queue::stream("q"), own, own);
    }
}
