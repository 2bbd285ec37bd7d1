//! Quorum queues.

use std::time::Duration;

use garenne_shared::{Headers, QueueName, Retry};

use super::{
    DeadLetter, DeadLetterStrategy, Overflow, QueueKind,
    arguments::Arguments,
    macros::{binding_methods, dead_letter_methods, limit_methods, retry_methods},
};
use crate::{QueueDeclaration, binding::Source};

/// A quorum queue: replicated, durable, with a delivery limit. See <https://www.rabbitmq.com/docs/quorum-queues>.
///
/// Give it a dead-letter queue, or say [`without_dead_letter`](Self::without_dead_letter): RabbitMQ drops a message whose
/// delivery failed more often than the limit (default: 20) unless it knows where to.
///
/// Dead letters are handed over at least once, with `x-overflow` set to `reject-publish`, which that needs; a length limit beside it
/// is good practice, because messages stay in the queue as long as their target does not take them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a definition does nothing until it is part of a topology"]
pub struct QuorumQueue {
    pub(crate) name: QueueName,
    pub(crate) message_ttl: Option<Duration>,
    pub(crate) expires: Option<Duration>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_length_bytes: Option<u64>,
    pub(crate) overflow: Option<Overflow>,
    pub(crate) delivery_limit: Option<DeliveryLimit>,
    pub(crate) retry: Option<Retry>,
    pub(crate) retry_after_max: Option<Duration>,
    pub(crate) single_active_consumer: bool,
    pub(crate) initial_group_size: Option<u32>,
    pub(crate) dead_letter: Option<DeadLetter>,
    pub(crate) dead_letter_strategy: Option<DeadLetterStrategy>,
    pub(crate) sources: Vec<Source>,
}

/// How often delivery may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryLimit {
    Failures(u32),
    Unlimited,
}

// === impl QuorumQueue ===

impl QuorumQueue {
    pub(crate) const fn new(name: QueueName) -> Self {
        Self {
            name,
            message_ttl: None,
            expires: None,
            max_length: None,
            max_length_bytes: None,
            overflow: None,
            delivery_limit: None,
            retry: None,
            retry_after_max: None,
            single_active_consumer: false,
            initial_group_size: None,
            dead_letter: None,
            dead_letter_strategy: None,
            sources: Vec::new(),
        }
    }

    binding_methods!();
    limit_methods!();
    dead_letter_methods!();
    retry_methods! {
        /// With a linear or fixed policy without jitter, a broker of RabbitMQ 4.3 or later delays by itself
        /// (`x-delayed-retry-type` `failed`, <https://www.rabbitmq.com/docs/quorum-queues#delayed-retry>): a failed message takes no place of
        /// the prefetch meanwhile, and what a lost connection hands back is delayed as well. An older broker does not: the consumer holds
        /// the delivery, for a minute at most.
        ///
        /// With any other policy a failed message waits in a [tier](crate::RetryTier), which is declared along: the consumer publishes a copy
        /// there, and acknowledges the message once that is confirmed. Delays under a second are waited for by the consumer.
        ///
        /// A limit of attempts is also the delivery limit of the queue, one failure above, unless
        /// [`delivery_limit`](Self::delivery_limit) says another.
    }

    /// Says what happens when it is full (`x-overflow`). Dead-lettering at least once needs [`Overflow::RejectPublish`].
    pub const fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = Some(overflow);
        self
    }

    /// Gives a message up when its delivery failed more often than this (`x-delivery-limit`; the broker's default is 20).
    pub const fn delivery_limit(mut self, failures: u32) -> Self {
        self.delivery_limit = Some(DeliveryLimit::Failures(failures));
        self
    }

    /// Delivers a message as often as it takes (`x-delivery-limit` -1, RabbitMQ 4.0 or later): a poison message never leaves.
    pub const fn without_delivery_limit(mut self) -> Self {
        self.delivery_limit = Some(DeliveryLimit::Unlimited);
        self
    }

    /// Replicates it to this many nodes (`x-quorum-initial-group-size`; the broker's default is 3).
    pub const fn initial_group_size(mut self, nodes: u32) -> Self {
        self.initial_group_size = Some(nodes);
        self
    }

    /// Says how surely dead letters are handed over. The default is [`DeadLetterStrategy::AtLeastOnce`].
    pub const fn dead_letter_strategy(mut self, strategy: DeadLetterStrategy) -> Self {
        self.dead_letter_strategy = Some(strategy);
        self
    }

    /// Says that it is meant to have no dead-letter queue: what it gives up on is gone.
    ///
    /// It switches the warning [`NoDeadLetter`](crate::WarningKind::NoDeadLetter) off.
    pub fn without_dead_letter(mut self) -> Self {
        self.dead_letter = Some(DeadLetter::Without);
        self
    }

    /// Returns the queue's name.
    #[must_use]
    pub const fn name(&self) -> &QueueName {
        &self.name
    }

    /// Returns the strategy in force; `None` if it does not dead-letter.
    pub(crate) fn strategy(&self) -> Option<DeadLetterStrategy> {
        match self.dead_letter.as_ref()? {
            DeadLetter::Without => None,
            DeadLetter::Own | DeadLetter::To { .. } => {
                Some(self.dead_letter_strategy.unwrap_or(DeadLetterStrategy::AtLeastOnce))
            }
        }
    }

    /// Returns the delivery limit in force; `None` leaves it to the broker.
    ///
    /// The last attempt is the consumer's, so that its error is known; the broker's limit ends what kills its consumer.
    pub(super) fn limit(&self) -> Option<DeliveryLimit> {
        let attempts = self.retry.as_ref().and_then(Retry::max_attempts);
        self.delivery_limit.or(attempts.map(DeliveryLimit::Failures))
    }

    /// Returns the first and the longest delay that the broker carries out by itself.
    pub(super) fn broker_delays(&self) -> Option<(Duration, Duration)> {
        self.retry.as_ref()?.linear_delays().filter(|(first, _)| !first.is_zero())
    }

    fn arguments(&self) -> Headers {
        let strategy = self.strategy();
        let needed = (strategy == Some(DeadLetterStrategy::AtLeastOnce)).then_some(Overflow::RejectPublish);
        let limit = self.limit().map(|limit| match limit {
            DeliveryLimit::Failures(failures) => i64::from(failures),
            DeliveryLimit::Unlimited => -1,
        });
        let delays = self.broker_delays();
        Arguments::new(QueueKind::Quorum)
            .millis("x-message-ttl", self.message_ttl)
            .millis("x-expires", self.expires)
            .number("x-max-length", self.max_length)
            .number("x-max-length-bytes", self.max_length_bytes)
            .text("x-overflow", self.overflow.or(needed).map(Overflow::as_str))
            .number("x-delivery-limit", limit)
            .text("x-delayed-retry-type", delays.map(|_| "failed"))
            .millis("x-delayed-retry-min", delays.map(|(first, _)| first))
            .millis("x-delayed-retry-max", delays.map(|(_, longest)| longest))
            .flag("x-single-active-consumer", self.single_active_consumer)
            .number("x-quorum-initial-group-size", self.initial_group_size)
            .dead_letter(self.dead_letter.as_ref(), &self.name)
            .text("x-dead-letter-strategy", strategy.map(DeadLetterStrategy::as_str))
            .build()
    }

    pub(super) fn declaration(&self) -> QueueDeclaration {
        QueueDeclaration {
            name: self.name.clone(),
            durable: true,
            exclusive: false,
            auto_delete: false,
            arguments: self.arguments(),
        }
    }
}
