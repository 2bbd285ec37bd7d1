//! What a consumer knows of its queue: how attempts are counted, and whether the broker keeps what is rejected.

use std::time::Duration;

use garenne_shared::{ExchangeName, Headers, QueueName};
use garenne_topology::{ContractLimit, DeadLetters, QueueContract, QueueKind, RetryTier};
use garenne_transport::Client;

use crate::{Consumer, consumer::DeliveryLimit};

/// What a consumer knows of its queue.
///
/// AMQP 0-9-1 has no way to ask. What the consumer was told counts first, then the contract of the queue, then how this client declared it,
/// then the defaults of the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QueueFacts {
    /// Whether the queue counts failed deliveries; `None` if that is not known.
    pub(crate) counts: Option<bool>,
    /// How many failed deliveries the queue allows; one more and the broker takes the message away.
    pub(crate) delivery_limit: Option<u32>,
    /// Whether the broker dead-letters what is rejected; otherwise a reject may lose the message.
    pub(crate) dead_letters: bool,
    /// The queue that the broker dead-letters to, where that is one by name.
    pub(crate) dead_letter_queue: Option<QueueName>,
    /// Whether it is a stream, which keeps what was read.
    pub(crate) stream: bool,
    /// The first and the longest delay of the retries that the broker delays, if it can.
    pub(crate) broker_delays: Option<(Duration, Duration)>,
    /// Where messages wait for their next attempt, shortest first.
    pub(crate) retry_tiers: Vec<RetryTier>,
}

// === impl QueueFacts ===

impl QueueFacts {
    /// Gathers what is known.
    pub(crate) fn gather(consumer: &Consumer, client: &Client) -> Self {
        let default_limit = client.capabilities().default_delivery_limit;
        let mut facts = match &consumer.contract {
            Some(contract) => Self::of(contract, default_limit),
            None => match client.declared_queue(&consumer.queue) {
                Some(queue) => Self::declared(&queue.arguments, default_limit),
                None => Self { delivery_limit: default_limit, ..Self::default() },
            },
        };
        match consumer.delivery_limit {
            DeliveryLimit::Unsaid => {}
            DeliveryLimit::None => facts.delivery_limit = None,
            DeliveryLimit::Some(limit) => {
                facts.delivery_limit = Some(limit);
                facts.counts = Some(true);
            }
        }
        if let Some(dead_letters) = consumer.broker_dead_letters {
            facts.dead_letters = dead_letters;
        }
        facts
    }

    fn of(contract: &QueueContract, default_limit: Option<u32>) -> Self {
        let delivery_limit = match contract.delivery_limit {
            ContractLimit::Failures(failures) => Some(failures),
            ContractLimit::BrokerDefault => default_limit,
            _ => None,
        };
        let dead_letter_queue = match &contract.dead_letters {
            DeadLetters::Own(queue) => Some(queue.clone()),
            _ => None,
        };
        Self {
            counts: Some(contract.kind == QueueKind::Quorum),
            delivery_limit,
            dead_letters: contract.dead_letters != DeadLetters::None,
            dead_letter_queue,
            stream: contract.kind == QueueKind::Stream,
            broker_delays: broker_delays(&contract.declaration.arguments),
            retry_tiers: contract.retry_tiers.clone(),
        }
    }

    fn declared(arguments: &Headers, default_limit: Option<u32>) -> Self {
        // Without the argument the vhost decides the kind.
        let counts = arguments.text("x-queue-type").map(|kind| kind == "quorum");
        let delivery_limit = match arguments.int("x-delivery-limit") {
            // Below 0 there is no limit.
            Some(limit) => u32::try_from(limit).ok(),
            None => default_limit,
        };
        let exchange = arguments.text("x-dead-letter-exchange");
        let key = arguments.text("x-dead-letter-routing-key");
        let own = exchange.filter(|exchange| *exchange == ExchangeName::DEFAULT.as_str()).and(key);
        Self {
            counts,
            delivery_limit: delivery_limit.filter(|_| counts != Some(false)),
            dead_letters: exchange.is_some(),
            dead_letter_queue: own.and_then(|key| QueueName::try_from(key.to_owned()).ok()),
            stream: arguments.text("x-queue-type") == Some("stream"),
            broker_delays: broker_delays(arguments),
            retry_tiers: Vec::new(),
        }
    }
}

/// Reads how a quorum queue delays what failed (<https://www.rabbitmq.com/docs/quorum-queues#delayed-retry>).
fn broker_delays(arguments: &Headers) -> Option<(Duration, Duration)> {
    arguments.text("x-delayed-retry-type").filter(|kind| matches!(*kind, "failed" | "all"))?;
    let millis =
        |name| arguments.int(name).and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    let first = millis("x-delayed-retry-min")?;
    Some((first, millis("x-delayed-retry-max").unwrap_or(first)))
}

#[cfg(test)]
mod tests {
    use garenne_shared::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(arguments: &[(&str, HeaderValue)], expected: &QueueFacts) {
        let arguments: Headers = arguments.iter().cloned().collect();
        assert_eq!(QueueFacts::declared(&arguments, Some(20)), *expected);
    }

    #[test]
    fn a_declaration_tells_what_the_queue_counts_and_where_its_rejects_go() {
        let quorum = QueueFacts { counts: Some(true), delivery_limit: Some(20), ..QueueFacts::default() };
        check(&[("x-queue-type", "quorum".into())], &quorum);
        check(
            &[("x-queue-type", "quorum".into()), ("x-delivery-limit", 5.into())],
            &QueueFacts { delivery_limit: Some(5), ..quorum.clone() },
        );
        check(
            &[("x-queue-type", "quorum".into()), ("x-delivery-limit", (-1).into())],
            &QueueFacts { delivery_limit: None, ..quorum },
        );
        check(
            &[
                ("x-queue-type", "classic".into()),
                ("x-dead-letter-exchange", "".into()),
                ("x-dead-letter-routing-key", "q.dlq".into()),
            ],
            &QueueFacts {
                counts: Some(false),
                dead_letters: true,
                dead_letter_queue: Some(QueueName::from_static("q.dlq")),
                ..QueueFacts::default()
            },
        );
        check(
            &[
                ("x-queue-type", "quorum".into()),
                ("x-delayed-retry-type", "failed".into()),
                ("x-delayed-retry-min", 100.into()),
                ("x-delayed-retry-max", 900.into()),
            ],
            &QueueFacts {
                counts: Some(true),
                delivery_limit: Some(20),
                broker_delays: Some((Duration::from_millis(100), Duration::from_millis(900))),
                ..QueueFacts::default()
            },
        );
        check(
            &[("x-queue-type", "stream".into())],
            &QueueFacts { counts: Some(false), stream: true, ..QueueFacts::default() },
        );
    }
}
