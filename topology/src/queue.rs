//! Queues: one builder for each kind, so that an argument the kind does not support does not compile.

mod arguments;
mod classic;
mod contract;
mod dead_letter;
mod macros;
mod overflow;
mod quorum;
mod stream;

use std::fmt;

use garenne_shared::{QueueName, Retry};

pub use self::{
    classic::ClassicQueue,
    contract::{ContractLimit, DeadLetters, QueueContract},
    dead_letter::DeadLetterStrategy,
    overflow::{ClassicOverflow, Overflow},
    quorum::QuorumQueue,
    stream::StreamQueue,
};
pub(crate) use self::{
    dead_letter::{DeadLetter, dead_letter_queue, dead_letter_queue_name},
    quorum::DeliveryLimit,
};
use crate::{QueueDeclaration, RetryTier, binding::Source, tier};

/// Starts the definition of a queue.
///
/// An argument that a kind does not support does not compile. A stream has no time to live of messages,
/// ```compile_fail,E0599
/// # use garenne_topology::Queue;
/// let _ = Queue::stream("log").message_ttl(std::time::Duration::from_secs(1));
/// ```
/// and no dead letters;
/// ```compile_fail,E0599
/// # use garenne_topology::Queue;
/// let _ = Queue::stream("log").dead_letter();
/// ```
/// a quorum queue has no declared maximum of priorities,
/// ```compile_fail,E0599
/// # use garenne_topology::Queue;
/// let _ = Queue::quorum("billing").max_priority(5);
/// ```
/// is never exclusive,
/// ```compile_fail,E0599
/// # use garenne_topology::Queue;
/// let _ = Queue::quorum("billing").exclusive();
/// ```
/// and does not know `reject-publish-dlx`;
/// ```compile_fail,E0308
/// # use garenne_topology::{ClassicOverflow, Queue};
/// let _ = Queue::quorum("billing").overflow(ClassicOverflow::RejectPublishDlx);
/// ```
/// a classic queue has no delivery limit,
/// ```compile_fail,E0599
/// # use garenne_topology::Queue;
/// let _ = Queue::classic("billing").delivery_limit(3);
/// ```
/// no dead-lettering at least once,
/// ```compile_fail,E0599
/// # use garenne_topology::{DeadLetterStrategy, Queue};
/// let _ = Queue::classic("billing").dead_letter_strategy(DeadLetterStrategy::AtLeastOnce);
/// ```
/// and no age limit.
/// ```compile_fail,E0599
/// # use garenne_topology::Queue;
/// let _ = Queue::classic("billing").max_age(std::time::Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Queue;

/// The definition of a queue of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueDefinition {
    /// A quorum queue.
    Quorum(QuorumQueue),
    /// A classic queue.
    Classic(ClassicQueue),
    /// A stream.
    Stream(StreamQueue),
}

/// The kind of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum QueueKind {
    /// Replicated, for messages that must not be lost.
    Quorum,
    /// On one node.
    Classic,
    /// A replicated log that is read without being emptied.
    Stream,
}

// === impl Queue ===

impl Queue {
    /// Starts a quorum queue: replicated and durable. The right choice unless you know better.
    #[track_caller]
    pub fn quorum(name: impl Into<QueueName>) -> QuorumQueue {
        QuorumQueue::new(name.into())
    }

    /// Starts a classic queue: on one node, for messages that may be lost with it, and for exclusive queues.
    #[track_caller]
    pub fn classic(name: impl Into<QueueName>) -> ClassicQueue {
        ClassicQueue::new(name.into())
    }

    /// Starts a stream: a replicated log that is read without being emptied.
    #[track_caller]
    pub fn stream(name: impl Into<QueueName>) -> StreamQueue {
        StreamQueue::new(name.into())
    }
}

// === impl QueueDefinition ===

impl QueueDefinition {
    /// Returns the queue's name.
    #[must_use]
    pub const fn name(&self) -> &QueueName {
        match self {
            Self::Quorum(queue) => &queue.name,
            Self::Classic(queue) => &queue.name,
            Self::Stream(queue) => &queue.name,
        }
    }

    /// Returns the queue's kind.
    #[must_use]
    pub const fn kind(&self) -> QueueKind {
        match self {
            Self::Quorum(_) => QueueKind::Quorum,
            Self::Classic(_) => QueueKind::Classic,
            Self::Stream(_) => QueueKind::Stream,
        }
    }

    /// Returns the name of the queue's own dead-letter queue, `<queue>.dlq`, if it has one.
    #[must_use]
    pub fn dead_letter_queue(&self) -> Option<QueueName> {
        match self.dead_letter()? {
            DeadLetter::Own => dead_letter_queue_name(self.name()),
            DeadLetter::To { .. } | DeadLetter::Without => None,
        }
    }

    pub(crate) const fn retry(&self) -> Option<&Retry> {
        match self {
            Self::Quorum(queue) => queue.retry.as_ref(),
            Self::Classic(queue) => queue.retry.as_ref(),
            Self::Stream(_) => None,
        }
    }

    /// Returns the tiers that it needs: for its retry policy, unless RabbitMQ 4.3 delays in the queue itself, and for what handlers may ask for.
    pub(crate) fn retry_tiers(&self) -> Vec<RetryTier> {
        let of_policy = || self.retry().map(tier::tiers).unwrap_or_default();
        let (of_policy, longest) = match self {
            Self::Quorum(queue) if queue.broker_delays().is_some() => (Vec::new(), queue.retry_after_max),
            Self::Quorum(queue) => (of_policy(), queue.retry_after_max),
            Self::Classic(queue) => (of_policy(), queue.retry_after_max),
            Self::Stream(_) => (Vec::new(), None),
        };
        let mut tiers = longest.map(tier::up_to).unwrap_or_default();
        tiers.extend(of_policy);
        tiers.sort_unstable();
        tiers.dedup();
        tiers
    }

    pub(crate) const fn dead_letter(&self) -> Option<&DeadLetter> {
        match self {
            Self::Quorum(queue) => queue.dead_letter.as_ref(),
            Self::Classic(queue) => queue.dead_letter.as_ref(),
            Self::Stream(_) => None,
        }
    }

    pub(crate) fn sources(&self) -> &[Source] {
        match self {
            Self::Quorum(queue) => &queue.sources,
            Self::Classic(queue) => &queue.sources,
            Self::Stream(queue) => &queue.sources,
        }
    }

    /// Returns how the queue is declared: its name and every argument.
    #[must_use]
    pub fn declaration(&self) -> QueueDeclaration {
        match self {
            Self::Quorum(queue) => queue.declaration(),
            Self::Classic(queue) => queue.declaration(),
            Self::Stream(queue) => queue.declaration(),
        }
    }
}

impl From<QuorumQueue> for QueueDefinition {
    fn from(queue: QuorumQueue) -> Self {
        Self::Quorum(queue)
    }
}

impl From<ClassicQueue> for QueueDefinition {
    fn from(queue: ClassicQueue) -> Self {
        Self::Classic(queue)
    }
}

impl From<StreamQueue> for QueueDefinition {
    fn from(queue: StreamQueue) -> Self {
        Self::Stream(queue)
    }
}

// === impl QueueKind ===

impl QueueKind {
    /// Returns the kind as the broker names it in `x-queue-type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quorum => "quorum",
            Self::Classic => "classic",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use garenne_shared::{HeaderValue, Headers};

    use super::*;

    #[track_caller]
    fn check(queue: impl Into<QueueDefinition>, expected: &[(&str, HeaderValue)]) {
        let expected: Headers = expected.iter().cloned().collect();
        assert_eq!(queue.into().declaration().arguments, expected);
    }

    #[test]
    fn dead_letters_go_at_least_once_to_a_queue_of_their_own() {
        check(
            Queue::quorum("billing").dead_letter(),
            &[
                ("x-queue-type", "quorum".into()),
                ("x-dead-letter-exchange", "".into()),
                ("x-dead-letter-routing-key", "billing.dlq".into()),
                ("x-dead-letter-strategy", "at-least-once".into()),
                ("x-overflow", "reject-publish".into()),
            ],
        );
        check(
            dead_letter_queue(QueueName::from_static("billing.dlq")),
            &[("x-queue-type", "quorum".into()), ("x-delivery-limit", (-1).into())],
        );
    }

    #[test]
    fn every_argument_has_its_name_and_unit() {
        let second = Duration::from_secs(1);
        let quorum = Queue::quorum("q")
            .message_ttl(second)
            .expires(2 * second)
            .max_length(3)
            .max_length_bytes(4)
            .overflow(Overflow::DropHead)
            .delivery_limit(5)
            .single_active_consumer()
            .initial_group_size(6)
            .without_dead_letter();
        check(
            quorum,
            &[
                ("x-queue-type", "quorum".into()),
                ("x-message-ttl", 1000.into()),
                ("x-expires", 2000.into()),
                ("x-max-length", 3.into()),
                ("x-max-length-bytes", 4.into()),
                ("x-overflow", "drop-head".into()),
                ("x-delivery-limit", 5.into()),
                ("x-single-active-consumer", true.into()),
                ("x-quorum-initial-group-size", 6.into()),
            ],
        );
        let classic = Queue::classic("q").max_priority(7).overflow(ClassicOverflow::RejectPublishDlx);
        check(
            classic.dead_letter_to("dead", "q"),
            &[
                ("x-queue-type", "classic".into()),
                ("x-max-priority", 7.into()),
                ("x-overflow", "reject-publish-dlx".into()),
                ("x-dead-letter-exchange", "dead".into()),
                ("x-dead-letter-routing-key", "q".into()),
            ],
        );
        check(
            Queue::stream("q")
                .max_age(90 * second)
                .max_length_bytes(8)
                .max_segment_size_bytes(9)
                .initial_group_size(3),
            &[
                ("x-queue-type", "stream".into()),
                ("x-max-age", "90s".into()),
                ("x-max-length-bytes", 8.into()),
                ("x-stream-max-segment-size-bytes", 9.into()),
                ("x-initial-cluster-size", 3.into()),
            ],
        );
    }

    #[test]
    fn a_classic_queue_is_durable_or_exclusive() {
        let flags = |queue: ClassicQueue| (queue.declaration().durable, queue.declaration().exclusive);
        assert_eq!(flags(Queue::classic("q")), (true, false));
        assert_eq!(flags(Queue::classic("q").exclusive()), (false, true));
    }
}
