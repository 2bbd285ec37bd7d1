//! Consumers come and go.

use super::{Consumer, Queue, QueueKind, Subscription};
use crate::core::{AmqpError, ConsumerKey, Millis};

impl Queue {
    /// Adds a consumer: `rabbit_amqqueue_process.erl`, `check_exclusive_access`; `rabbit_stream_queue.erl`, `consume`.
    pub(crate) fn subscribe(
        &mut self,
        now: Millis,
        started: u64,
        vhost: &str,
        subscription: Subscription,
    ) -> Result<(), AmqpError> {
        let name = &self.declaration.name;
        let is_single = self.settings.single_active_consumer;
        // Quorum queues and streams take no notice of the flag.
        let is_in_use = self.consumers.has_exclusive()
            || (subscription.exclusive && (self.consumers.len() > 0 || is_single));
        if self.declaration.kind == QueueKind::Classic && is_in_use {
            return Err(AmqpError::access_refused(format!(
                "queue '{name}' in vhost '{vhost}' in exclusive use"
            )));
        }
        if self.is_stream() {
            if subscription.prefetch == 0 {
                return Err(AmqpError::precondition_failed(format!(
                    "consumer prefetch count is not set for stream queue '{name}' in vhost '{vhost}'"
                )));
            }
            if subscription.no_ack {
                return Err(AmqpError::not_implemented(format!(
                    "automatic acknowledgement not supported by stream queue '{name}' in vhost '{vhost}'"
                )));
            }
            self.stream.attach(now, started, &subscription.key, &subscription.arguments)?;
        }
        self.last_used = now;
        self.consumers.add(subscription);
        Ok(())
    }

    /// Removes a consumer; what it holds stays out. Returns whether there was one.
    pub(crate) fn unsubscribe(&mut self, now: Millis, key: &ConsumerKey) -> bool {
        self.last_used = now;
        self.stream.detach(key);
        self.consumers.remove(key)
    }

    /// The connection of a consumer cannot take more now, or can again.
    pub(crate) fn pause(&mut self, key: &ConsumerKey, is_paused: bool) {
        self.consumers.pause(key, is_paused);
    }

    /// Returns the consumers in the order of their subscription.
    pub(crate) fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.iter()
    }

    pub(crate) fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// Returns where the deliveries of a consumer come when its channel ends: a quorum queue takes back those of each consumer in the
    /// order of subscription, then those of each `basic.get` by the text of its tag (`rabbit_fifo.erl`, `handle_down`).
    pub(crate) fn order_of_return(&self, consumer: Option<&ConsumerKey>, tag: u64) -> (u64, String) {
        match consumer {
            _ if !self.is_quorum() => (0, String::new()),
            Some(key) => (self.consumers.number(key).unwrap_or(0), String::new()),
            None => (u64::MAX, tag.to_string()),
        }
    }

    /// Returns the place of a consumer among those that get something at once; `None` if each message goes out by itself.
    ///
    /// A quorum queue sends all that one command makes deliverable by consumer, in the order of subscription: `rabbit_fifo.erl`,
    /// `delivery_effects`.
    pub(crate) fn order_in_batch(&self, consumer: &ConsumerKey) -> Option<u64> {
        if self.is_quorum() { self.consumers.number(consumer) } else { None }
    }

    /// A batch of deliveries without acknowledgements went out to a consumer.
    pub(crate) fn sent(&mut self, consumer: &ConsumerKey, count: u32) {
        self.consumers.sent(consumer, count);
    }

    /// Returns how many consumers `queue.declare-ok` reports.
    ///
    /// A quorum queue leaves those out that wait behind a single active consumer, and counts cancelled ones that still hold
    /// deliveries and each delivery of `basic.get`: `rabbit_fifo.erl`, `query_stat`. A stream counts none: `rabbit_stream_queue.erl`, `stat`.
    pub(crate) fn declared_consumers(&self) -> u64 {
        match self.declaration.kind {
            QueueKind::Classic => self.consumers.len() as u64,
            QueueKind::Quorum => self.consumers.engaged() + self.got,
            QueueKind::Stream => 0,
        }
    }

    /// Returns how long a consumer may hold a delivery, in milliseconds: its own limit wins over the queue's.
    ///
    /// `rabbit_queue_type.erl`, `get_consumer_timeout`.
    pub(crate) fn consumer_timeout(&self, key: &ConsumerKey) -> Option<u64> {
        let limit = self.settings.consumer_timeout?;
        let own = self.consumers.get(key).and_then(|consumer| consumer.subscription.timeout);
        Some(own.unwrap_or(limit))
    }
}
