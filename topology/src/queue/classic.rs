//! Classic queues.

use std::time::Duration;

use garenne_shared::{QueueName, Retry};

use super::{
    ClassicOverflow, DeadLetter, QueueKind,
    arguments::Arguments,
    macros::{binding_methods, dead_letter_methods, limit_methods, retry_methods},
};
use crate::{QueueDeclaration, binding::Source};

/// A classic queue: on one node. See <https://www.rabbitmq.com/docs/classic-queues>.
///
/// It is durable, or exclusive: a queue that is neither is refused by RabbitMQ 4.3, so it cannot be expressed.
/// Its dead letters are handed over at most once: they are lost if their target does not take them at that moment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a definition does nothing until it is part of a topology"]
pub struct ClassicQueue {
    pub(crate) name: QueueName,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) message_ttl: Option<Duration>,
    pub(crate) expires: Option<Duration>,
    pub(crate) max_length: Option<u64>,
    pub(crate) max_length_bytes: Option<u64>,
    pub(crate) overflow: Option<ClassicOverflow>,
    pub(crate) max_priority: Option<u8>,
    pub(crate) single_active_consumer: bool,
    pub(crate) retry: Option<Retry>,
    pub(crate) retry_after_max: Option<Duration>,
    pub(crate) dead_letter: Option<DeadLetter>,
    pub(crate) sources: Vec<Source>,
}

// === impl ClassicQueue ===

impl ClassicQueue {
    pub(crate) const fn new(name: QueueName) -> Self {
        Self {
            name,
            exclusive: false,
            auto_delete: false,
            message_ttl: None,
            expires: None,
            max_length: None,
            max_length_bytes: None,
            overflow: None,
            max_priority: None,
            single_active_consumer: false,
            retry: None,
            retry_after_max: None,
            dead_letter: None,
            sources: Vec::new(),
        }
    }

    binding_methods!();
    limit_methods!();
    dead_letter_methods!();
    retry_methods! {
        /// A failed message waits in a [tier](crate::RetryTier), which is declared along: the consumer publishes a copy there, and
        /// acknowledges the message once that is confirmed. Delays under a second are waited for by the consumer.
    }

    /// Says what happens when it is full (`x-overflow`).
    pub fn overflow(mut self, overflow: impl Into<ClassicOverflow>) -> Self {
        self.overflow = Some(overflow.into());
        self
    }

    /// Knows this many priorities above 0 (`x-max-priority`, 1 to 255; RabbitMQ recommends at most 5).
    pub const fn max_priority(mut self, highest: u8) -> Self {
        self.max_priority = Some(highest);
        self
    }

    /// Ties it to the connection that declares it: nobody else can use it, and it is deleted, with its messages, when
    /// that connection goes.
    pub const fn exclusive(mut self) -> Self {
        self.exclusive = true;
        self
    }

    /// Deletes it, with its messages, when its last consumer goes.
    pub const fn auto_delete(mut self) -> Self {
        self.auto_delete = true;
        self
    }

    /// Returns the queue's name.
    #[must_use]
    pub const fn name(&self) -> &QueueName {
        &self.name
    }

    pub(super) fn declaration(&self) -> QueueDeclaration {
        let arguments = Arguments::new(QueueKind::Classic)
            .millis("x-message-ttl", self.message_ttl)
            .millis("x-expires", self.expires)
            .number("x-max-length", self.max_length)
            .number("x-max-length-bytes", self.max_length_bytes)
            .text("x-overflow", self.overflow.map(ClassicOverflow::as_str))
            .number("x-max-priority", self.max_priority)
            .flag("x-single-active-consumer", self.single_active_consumer)
            .dead_letter(self.dead_letter.as_ref(), &self.name)
            .build();
        QueueDeclaration {
            name: self.name.clone(),
            durable: !self.exclusive,
            exclusive: self.exclusive,
            auto_delete: self.auto_delete,
            arguments,
        }
    }
}
