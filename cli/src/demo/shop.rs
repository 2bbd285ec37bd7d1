//! The topology of the demo: one topic exchange, a work queue and two subscribers, under names of this run alone.

use std::time::Duration;

use garenne::prelude::*;
use garenne::{ExchangeName, QuorumQueue};

/// The queues that each order must reach.
pub(crate) const QUEUES: [&str; 3] = ["billing", "notifications", "audit"];

/// What the keys of orders match, for each queue.
const KEYS: [&str; QUEUES.len()] = ["order.placed.*", "order.placed.*", "order.#"];
/// When the broker deletes a queue that nobody uses: the demo deletes them itself, unless it is killed.
const EXPIRES: Duration = Duration::from_secs(600);

/// The first and the longest delay before another attempt.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// The names of one run. Nobody else's messages are in its queues.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    run: String,
}

// === impl Shop ===

impl Shop {
    /// Makes up names that no other run has.
    pub(crate) fn new() -> Self {
        Self { run: format!("garenne-demo-{:012x}", fastrand::u64(..1 << 48)) }
    }

    /// Returns the exchange that orders are published to.
    pub(crate) fn exchange(&self) -> ExchangeName {
        named(format!("{}-orders", self.run))
    }

    /// Returns a queue, by its place in [`QUEUES`].
    pub(crate) fn queue(&self, queue: usize) -> QueueName {
        named(format!("{}-{}", self.run, QUEUES[queue]))
    }

    /// Returns the queue of what a queue's consumers gave up.
    pub(crate) fn dead_letters(&self, queue: usize) -> QueueName {
        named(format!("{}.dlq", self.queue(queue)))
    }

    /// Returns the definition of a queue: what fails waits a second, and longer each time.
    pub(crate) fn work(&self, queue: usize) -> QuorumQueue {
        let retry = Retry::linear(RETRY.0..=RETRY.1).attempts(20);
        quorum(self.queue(queue)).bind(self.exchange(), KEYS[queue]).retry(retry).dead_letter()
    }

    /// Returns the topology: `billing` is shared by competing consumers, `notifications` and `audit` get a copy each.
    pub(crate) fn topology(&self) -> Topology {
        let topology = Topology::new().exchange(Exchange::topic(self.exchange()).auto_delete());
        (0..QUEUES.len()).fold(topology, |topology, queue| {
            let dead_letters =
                quorum(self.dead_letters(queue)).without_delivery_limit().without_dead_letter();
            topology.queue(dead_letters).queue(self.work(queue))
        })
    }
}

fn quorum(name: QueueName) -> QuorumQueue {
    Queue::quorum(name).expires(EXPIRES)
}

fn named<T: TryFrom<String, Error = garenne::NameError>>(name: String) -> T {
    T::try_from(name).expect("a prefix, a number and a word are a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_has_names_of_its_own_under_one_prefix() {
        let (one, two) = (Shop::new(), Shop::new());
        assert_ne!(one.exchange(), two.exchange());
        assert!(one.queue(0).as_str().starts_with("garenne-demo-"));
        assert!(one.topology().validate().is_ok_and(|warnings| warnings.is_empty()));
    }
}
