//! What a consumer must know of its queue.

use garenne_shared::{ExchangeName, QueueName, Retry, RoutingKey};

use super::{DeadLetter, DeliveryLimit, QueueDefinition, QueueKind, dead_letter_queue_name};
use crate::{QueueDeclaration, RetryTier};

/// What a consumer must know of its queue, written once, in the topology: [`QueueDefinition::contract`] gives it.
///
/// AMQP 0-9-1 has no way to ask a broker for it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct QueueContract {
    /// How the queue is declared: its name and every argument.
    pub declaration: QueueDeclaration,
    /// Its kind.
    pub kind: QueueKind,
    /// How many deliveries of a message may fail before the broker gives it up.
    pub delivery_limit: ContractLimit,
    /// Where messages go that are given up.
    pub dead_letters: DeadLetters,
    /// How a failed delivery is tried again; `None` leaves it to the consumer.
    pub retry: Option<Retry>,
    /// Where messages wait for their next attempt that the broker does not delay in the queue itself, shortest first.
    pub retry_tiers: Vec<RetryTier>,
}

/// How many deliveries of a message may fail before the broker gives it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContractLimit {
    /// As many as the broker's default says: 20 from RabbitMQ 4.0 on.
    BrokerDefault,
    /// So many.
    Failures(u32),
    /// Any number; the queue counts them nevertheless, if it is a quorum queue.
    Unlimited,
}

/// Where messages go that are given up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetters {
    /// To the queue's own dead-letter queue.
    Own(QueueName),
    /// Through an exchange that somebody binds, with this routing key or the message's own.
    Through {
        /// The exchange.
        exchange: ExchangeName,
        /// The routing key; `None` keeps the message's own.
        routing_key: Option<RoutingKey>,
    },
    /// Nowhere: what is rejected is gone.
    None,
}

// === impl QueueContract ===

impl QueueContract {
    /// Returns the queue's name.
    #[must_use]
    pub const fn queue(&self) -> &QueueName {
        &self.declaration.name
    }

    /// Returns whether the queue is declared so that a broker that can (RabbitMQ 4.3 or later) delays failed deliveries by itself.
    #[must_use]
    pub fn broker_delays(&self) -> bool {
        self.declaration.arguments.text("x-delayed-retry-type").is_some()
    }
}

impl QueueDefinition {
    /// Returns what a consumer must know of the queue.
    ///
    /// # Examples
    ///
    /// ```
    /// use garenne_topology::{ContractLimit, DeadLetters, Queue, QueueDefinition};
    ///
    /// let billing: QueueDefinition = Queue::quorum("billing").delivery_limit(5).dead_letter().into();
    /// let contract = billing.contract();
    /// assert_eq!(contract.delivery_limit, ContractLimit::Failures(5));
    /// assert_eq!(contract.dead_letters, DeadLetters::Own("billing.dlq".into()));
    /// ```
    #[must_use]
    pub fn contract(&self) -> QueueContract {
        let delivery_limit = match self {
            Self::Quorum(queue) => match queue.limit() {
                None => ContractLimit::BrokerDefault,
                Some(DeliveryLimit::Failures(failures)) => ContractLimit::Failures(failures),
                Some(DeliveryLimit::Unlimited) => ContractLimit::Unlimited,
            },
            Self::Classic(_) | Self::Stream(_) => ContractLimit::Unlimited,
        };
        let own = || dead_letter_queue_name(self.name()).map_or(DeadLetters::None, DeadLetters::Own);
        let dead_letters = match self.dead_letter() {
            Some(DeadLetter::Own) => own(),
            Some(DeadLetter::To { exchange, key }) => {
                DeadLetters::Through { exchange: exchange.clone(), routing_key: key.clone() }
            }
            Some(DeadLetter::Without) | None => DeadLetters::None,
        };
        let (retry, retry_tiers) = (self.retry().cloned(), self.retry_tiers());
        QueueContract {
            declaration: self.declaration(),
            kind: self.kind(),
            delivery_limit,
            dead_letters,
            retry,
            retry_tiers,
        }
    }
}

impl<D: Into<QueueDefinition> + Clone> From<&D> for QueueContract {
    fn from(definition: &D) -> Self {
        definition.clone().into().contract()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Queue;

    #[test]
    fn a_contract_says_where_dead_letters_go() {
        let through = QueueContract::from(&Queue::classic("q").dead_letter_to("dead", "k"));
        let wanted =
            DeadLetters::Through { exchange: "dead".into(), routing_key: Some(RoutingKey::from_static("k")) };
        assert_eq!((through.dead_letters, through.kind), (wanted, QueueKind::Classic));
        let none = QueueContract::from(&Queue::quorum("q").without_dead_letter());
        assert_eq!(
            (none.dead_letters, none.delivery_limit),
            (DeadLetters::None, ContractLimit::BrokerDefault)
        );
        let stream = QueueContract::from(&Queue::stream("q"));
        assert_eq!(
            (stream.dead_letters, stream.delivery_limit),
            (DeadLetters::None, ContractLimit::Unlimited)
        );
    }

    #[test]
    fn a_retry_policy_is_part_of_the_contract_and_the_broker_carries_out_what_it_can() {
        let second = Duration::from_secs(1);
        let linear = Retry::linear(second..=60 * second).attempts(5);
        let contract = QueueContract::from(&Queue::quorum("q").retry(linear.clone()));
        let arguments = &contract.declaration.arguments;
        assert_eq!(arguments.text("x-delayed-retry-type"), Some("failed"));
        assert_eq!(
            (arguments.int("x-delayed-retry-min"), arguments.int("x-delayed-retry-max")),
            (Some(1000), Some(60_000))
        );
        assert_eq!(arguments.int("x-delivery-limit"), Some(5));
        assert_eq!((contract.delivery_limit, contract.retry), (ContractLimit::Failures(5), Some(linear)));
        for other in [
            Retry::exponential(second..=60 * second),
            Retry::fixed(second).jitter(true),
            Retry::fixed(Duration::ZERO),
            Retry::custom(|_| None),
        ] {
            let contract = QueueContract::from(&Queue::quorum("q").retry(other.clone()).delivery_limit(9));
            assert!(!contract.broker_delays(), "{other:?}");
            assert_eq!(contract.retry_tiers.is_empty(), other == Retry::fixed(Duration::ZERO), "{other:?}");
            assert_eq!((contract.delivery_limit, contract.retry), (ContractLimit::Failures(9), Some(other)));
        }
    }

    #[test]
    fn a_contract_carries_the_whole_declaration() {
        let contract = QueueContract::from(&Queue::quorum("q").delivery_limit(3));
        assert_eq!(contract.declaration.arguments.int("x-delivery-limit"), Some(3));
        assert_eq!(contract.declaration.name, "q");
    }
}
