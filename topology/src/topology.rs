//! A set of exchanges, queues and bindings.

use std::borrow::Cow;

use garenne_shared::{ExchangeName, QueueName};

use crate::{Declaration, Exchange, QueueDefinition, order, queue::dead_letter_queue};

/// A set of exchanges, queues and bindings: everything a service needs to find on the broker.
///
/// What belongs to somebody else is named by [`external_exchange`](Self::external_exchange) and
/// [`external_queue`](Self::external_queue): it may be referred to, it must be there, and it is never declared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Topology {
    exchanges: Vec<Exchange>,
    queues: Vec<QueueDefinition>,
    external_exchanges: Vec<ExchangeName>,
    external_queues: Vec<QueueName>,
}

// === impl Topology ===

impl Topology {
    /// Makes an empty topology.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an exchange.
    #[must_use]
    pub fn exchange(mut self, exchange: Exchange) -> Self {
        self.exchanges.push(exchange);
        self
    }

    /// Adds a queue: a [`QuorumQueue`](crate::QuorumQueue), a [`ClassicQueue`](crate::ClassicQueue) or a
    /// [`StreamQueue`](crate::StreamQueue), started by [`Queue`](crate::Queue).
    #[must_use]
    pub fn queue(mut self, queue: impl Into<QueueDefinition>) -> Self {
        self.queues.push(queue.into());
        self
    }

    /// Names an exchange that somebody else declares.
    #[must_use]
    #[track_caller]
    pub fn external_exchange(mut self, name: impl Into<ExchangeName>) -> Self {
        self.external_exchanges.push(name.into());
        self
    }

    /// Names a queue that somebody else declares.
    #[must_use]
    #[track_caller]
    pub fn external_queue(mut self, name: impl Into<QueueName>) -> Self {
        self.external_queues.push(name.into());
        self
    }

    /// Returns the exchanges, as they were added.
    #[must_use]
    pub fn exchanges(&self) -> &[Exchange] {
        &self.exchanges
    }

    /// Returns the queues, as they were added; without the dead-letter queues that are declared along.
    #[must_use]
    pub fn queues(&self) -> &[QueueDefinition] {
        &self.queues
    }

    /// Returns the exchanges that somebody else declares.
    #[must_use]
    pub fn external_exchanges(&self) -> &[ExchangeName] {
        &self.external_exchanges
    }

    /// Returns the queues that somebody else declares.
    #[must_use]
    pub fn external_queues(&self) -> &[QueueName] {
        &self.external_queues
    }

    /// Returns the name of every queue that is declared, the dead-letter queues that are declared along included, without
    /// retry tiers.
    pub fn queue_names(&self) -> impl Iterator<Item = QueueName> {
        self.all_queues().into_iter().map(|queue| queue.name().clone())
    }

    /// Returns everything to declare, each object once, in the safe order.
    ///
    /// Exchanges come first, alternates before those that hand over to them, then the bindings between exchanges. Then come the
    /// queues that dead letters go to, with their bindings; then the other queues; and their bindings at last. So nothing is routed to
    /// a queue before the place is ready where it would be dead-lettered. The [tiers](crate::RetryTier) of retry policies precede the queues.
    ///
    /// The topology should be [valid](Self::validate): of two objects with one name, only the first is declared.
    #[must_use]
    pub fn declarations(&self) -> Vec<Declaration> {
        order::declarations(self)
    }

    /// Returns the queues with the dead-letter queues that are declared along, each name once.
    ///
    /// A dead-letter queue that the topology defines itself, or names as external, is left as it is.
    pub(crate) fn all_queues(&self) -> Vec<Cow<'_, QueueDefinition>> {
        let mut all: Vec<Cow<'_, QueueDefinition>> = Vec::new();
        for queue in &self.queues {
            if !all.iter().any(|known| known.name() == queue.name()) {
                all.push(Cow::Borrowed(queue));
            }
        }
        for queue in &self.queues {
            let Some(name) = queue.dead_letter_queue() else { continue };
            let known = all.iter().any(|known| *known.name() == name) || self.external_queues.contains(&name);
            if !known {
                all.push(Cow::Owned(dead_letter_queue(name).into()));
            }
        }
        all
    }
}
