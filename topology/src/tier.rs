//! Retry tiers: where failed messages wait for their next attempt, if the broker does not delay them in their own queue.

use std::time::Duration;

use garenne_shared::{ExchangeName, Headers, QueueName, Retry, RoutingKey};

use crate::{Binding, Declaration, Destination, ExchangeDeclaration, QueueDeclaration};

/// What the names of all tiers begin with. Another shape of tier needs another version: queues cannot be declared anew with other arguments.
const PREFIX: &str = "garenne.retry.v1.";
/// Shorter delays are waited for by the consumer.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest tier for a policy whose delays are not known.
const LONGEST: Duration = Duration::from_secs(3600);
/// A policy has no more tiers; delays in between are made up of several.
const TIERS_MAX: usize = 16;

/// A queue in which failed messages wait for a fixed time, and the fanout exchange in front of it. Both have the same name.
///
/// The routing key of a message that waits is the name of the queue that it belongs to: when its time is over, the queue dead-letters it to
/// the default exchange, at least once, and that routes it back. So all queues and services share the tier of a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RetryTier {
    millis: u64,
}

// === impl RetryTier ===

impl RetryTier {
    fn new(delay: Duration) -> Self {
        Self { millis: u64::try_from(delay.as_millis()).unwrap_or(u64::MAX) }
    }

    /// Returns how long messages wait in it.
    #[must_use]
    pub const fn delay(self) -> Duration {
        Duration::from_millis(self.millis)
    }

    /// Returns the name of its exchange, which is that of its queue.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a prefix and a number are a name")]
    pub fn exchange(self) -> ExchangeName {
        self.name().try_into().expect("a prefix and a number are a name")
    }

    /// Returns the name of its queue, which is that of its exchange.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "a prefix and a number are a name")]
    pub fn queue(self) -> QueueName {
        self.name().try_into().expect("a prefix and a number are a name")
    }

    /// Returns whether an exchange or a queue of this name is a tier: it is shared, and not one topology's to delete.
    #[must_use]
    pub fn is_tier(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    pub(crate) fn exchange_declaration(self) -> Declaration {
        Declaration::Exchange(ExchangeDeclaration {
            name: self.exchange(),
            kind: "fanout".to_owned(),
            durable: true,
            auto_delete: false,
            internal: false,
            arguments: Headers::new(),
        })
    }

    /// Returns the declarations of its queue and of the binding.
    pub(crate) fn queue_declarations(self) -> [Declaration; 2] {
        let name = self.queue();
        let mut arguments = Headers::new();
        arguments.insert("x-queue-type", "quorum");
        arguments.insert("x-message-ttl", i64::try_from(self.millis).unwrap_or(i64::MAX));
        arguments.insert("x-dead-letter-exchange", "");
        arguments.insert("x-dead-letter-strategy", "at-least-once");
        arguments.insert("x-overflow", "reject-publish");
        let queue = QueueDeclaration {
            name: name.clone(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments,
        };
        let binding = Binding {
            source: self.exchange(),
            destination: Destination::Queue(name),
            routing_key: RoutingKey::from_static(""),
            arguments: Headers::new(),
        };
        [Declaration::Queue(queue), Declaration::Binding(binding)]
    }

    fn name(self) -> String {
        format!("{PREFIX}{}", self.millis)
    }
}

/// Returns the tiers that the delays of a policy need, shortest first.
pub(crate) fn tiers(policy: &Retry) -> Vec<RetryTier> {
    if policy.is_custom() {
        return ladder(SHORTEST, LONGEST);
    }
    let plain = policy.clone().jitter(false);
    let mut delays: Vec<Duration> = Vec::new();
    for failed in 1.. {
        let Some(delay) = plain.delay(failed) else { break };
        if delays.last() == Some(&delay) {
            break;
        }
        if delays.len() > TIERS_MAX {
            let longest = plain.attempts(u32::MAX).delay(u32::MAX - 1).unwrap_or(delay);
            return ladder(delays[0], longest);
        }
        delays.push(delay);
    }
    delays.into_iter().filter(|delay| *delay >= SHORTEST).map(RetryTier::new).collect()
}

/// Returns tiers for any delay up to the longest that handlers may ask for.
pub(crate) fn up_to(longest: Duration) -> Vec<RetryTier> {
    if longest < SHORTEST { Vec::new() } else { ladder(SHORTEST, longest) }
}

/// Returns tiers from which any delay up to the longest can be made up.
fn ladder(first: Duration, longest: Duration) -> Vec<RetryTier> {
    let first = first.max(SHORTEST);
    let climb = |factor: u32| {
        let mut rungs: Vec<Duration> =
            std::iter::successors(Some(first), |rung| Some(rung.saturating_mul(factor)))
                .take_while(|rung| *rung < longest)
                .take(4 * TIERS_MAX)
                .collect();
        rungs.push(longest.max(first));
        rungs
    };
    let doubling = climb(2);
    let rungs = if doubling.len() <= TIERS_MAX { doubling } else { climb(4) };
    rungs.into_iter().map(RetryTier::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &Retry, seconds: &[u64]) {
        let found: Vec<_> = tiers(policy).into_iter().map(|tier| tier.delay().as_secs()).collect();
        assert_eq!(found, seconds);
    }

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn there_is_a_tier_for_each_delay_of_a_second_or_more() {
        check(&Retry::exponential(second(1)..=second(10)), &[1, 2, 4, 8, 10]);
        check(&Retry::exponential(second(1)..=second(10)).attempts(3).jitter(true), &[1, 2]);
        check(&Retry::exponential(second(1) / 2..=second(3)), &[1, 2, 3]);
        check(&Retry::linear(second(60)..=second(180)), &[60, 120, 180]);
        check(&Retry::fixed(second(30)).attempts(9), &[30]);
        check(&Retry::fixed(second(1) / 10), &[]);
        check(&Retry::never(), &[]);
    }

    #[test]
    fn many_delays_are_made_up_of_few_tiers() {
        let linear = Retry::linear(second(1)..=second(3600));
        check(&linear, &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]);
        check(&Retry::custom(|_| None), &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]);
        let year = Retry::linear(second(1)..=second(31_536_000));
        assert!(tiers(&year).len() <= TIERS_MAX, "{:?}", tiers(&year));
        assert_eq!(tiers(&year).last().map(|tier| tier.delay()), Some(second(31_536_000)));
    }

    #[test]
    fn any_delay_that_handlers_may_ask_for_is_made_up_of_tiers() {
        let seconds =
            |tiers: Vec<RetryTier>| tiers.into_iter().map(|tier| tier.delay().as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(up_to(second(60))), [1, 2, 4, 8, 16, 32, 60]);
        assert!(up_to(second(1) / 2).is_empty());
        let queue = crate::Queue::quorum("q").retry(Retry::fixed(second(5))).retry_after_max(second(8));
        let contract = crate::QueueContract::from(&queue);
        // The broker delays five seconds by itself.
        assert!(contract.broker_delays());
        assert_eq!(seconds(contract.retry_tiers), [1, 2, 4, 8]);
        let queue = crate::Queue::classic("q").retry(Retry::fixed(second(5))).retry_after_max(second(8));
        assert_eq!(seconds(crate::QueueContract::from(&queue).retry_tiers), [1, 2, 4, 5, 8]);
    }

    #[test]
    fn a_tier_hands_back_to_the_queue_that_the_key_names() {
        let tier = RetryTier::new(second(5));
        assert!(RetryTier::is_tier(tier.exchange().as_str()) && !RetryTier::is_tier("billing"));
        let [Declaration::Queue(queue), Declaration::Binding(binding)] = tier.queue_declarations() else {
            panic!("a queue and its binding")
        };
        assert_eq!((queue.name.as_str(), &binding.source), ("garenne.retry.v1.5000", &tier.exchange()));
        assert_eq!(queue.arguments.int("x-message-ttl"), Some(5000));
        // Without a routing key of its own, the message keeps the one it was published with.
        assert_eq!(queue.arguments.text("x-dead-letter-exchange"), Some(""));
        assert!(queue.arguments.get("x-dead-letter-routing-key").is_none());
    }
}
