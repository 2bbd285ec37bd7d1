//! Where messages go that a queue gives up on.

use garenne_shared::{ExchangeName, QueueName, RoutingKey};
use serde::{Deserialize, Serialize};

use super::{QuorumQueue, arguments::Arguments};

/// What follows the name of a queue in the name of its dead-letter queue.
const SUFFIX: &str = ".dlq";

/// Where messages go that a queue gives up on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeadLetter {
    /// To the queue's own dead-letter queue.
    Own,
    /// To this exchange, with this key or the message's own.
    To { exchange: ExchangeName, key: Option<RoutingKey> },
    /// Nowhere, and that is meant.
    Without,
}

/// How surely a quorum queue hands its dead letters over.
///
/// See "At-Least-Once Dead Lettering" on <https://www.rabbitmq.com/docs/quorum-queues#dead-lettering>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DeadLetterStrategy {
    /// Keeps a message until its target confirmed it (the default here). The queue then refuses what exceeds its length limit.
    AtLeastOnce,
    /// Drops a message that cannot be handed over at once (the broker's default).
    AtMostOnce,
}

// === impl DeadLetter ===

impl DeadLetter {
    /// Returns exchange and routing key to dead-letter to; a key of `None` keeps the message's own.
    ///
    /// The own queue is reached through the default exchange: it cannot be deleted and has no binding that could get lost.
    pub(crate) fn target(&self, queue: &QueueName) -> Option<(ExchangeName, Option<RoutingKey>)> {
        match self {
            Self::Own => {
                let key = String::from(dead_letter_queue_name(queue)?).try_into().ok()?;
                Some((ExchangeName::DEFAULT, Some(key)))
            }
            Self::To { exchange, key } => Some((exchange.clone(), key.clone())),
            Self::Without => None,
        }
    }
}

impl Arguments {
    pub(super) fn dead_letter(self, dead_letter: Option<&DeadLetter>, queue: &QueueName) -> Self {
        let Some((exchange, key)) = dead_letter.and_then(|to| to.target(queue)) else { return self };
        self.text("x-dead-letter-exchange", Some(exchange.as_str()))
            .text("x-dead-letter-routing-key", key.as_ref().map(RoutingKey::as_str))
    }
}

// === impl DeadLetterStrategy ===

impl DeadLetterStrategy {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::AtMostOnce => "at-most-once",
        }
    }
}

/// Returns the name of the queue's own dead-letter queue; `None` if it would be longer than a name may be.
pub(crate) fn dead_letter_queue_name(queue: &QueueName) -> Option<QueueName> {
    QueueName::try_from(format!("{queue}{SUFFIX}")).ok()
}

/// Returns a queue's own dead-letter queue.
///
/// It has no delivery limit: the default of 20 would drop what was looked at too often (RabbitMQ 4.0 and later).
pub(crate) fn dead_letter_queue(name: QueueName) -> QuorumQueue {
    QuorumQueue::new(name).without_delivery_limit().without_dead_letter()
}
