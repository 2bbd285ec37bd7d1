//! What becomes of copies that leave their queue unconsumed.
//!
//! <https://www.rabbitmq.com/docs/dlx>; `rabbit_dead_letter.erl` (at most once) and `rabbit_fifo_dlx_worker.erl` (at least once).

use std::sync::Arc;

use super::death::{self, Circumstances};
use super::history::{Fate, left};
use super::properties::Property;
use super::queue::{Discard, Progress, Publish, Reason};
use super::state::{Core, QueueRef};
use super::{Key, Message, Millis, Name};

impl Core {
    /// Puts copies that left a queue on the list of [`Self::settle`].
    pub(super) fn discard(&mut self, vhost: &Name, queue: &Name, discards: Vec<Discard>) {
        for discard in discards {
            self.discards.push_back(((vhost.clone(), queue.clone()), discard));
        }
    }

    /// Publishes a copy to the dead-letter exchange of its queue, or drops it.
    pub(super) fn dead_letter(&mut self, now: Millis, (vhost_name, name): &QueueRef, mut discard: Discard) {
        let Some(vhost) = self.vhosts.get(vhost_name) else { return };
        let Some(queue) = vhost.queues.get(name) else { return };
        let message = &discard.entry.message;
        let exchange = queue.settings.dead_letter_exchange.clone();
        let Some(exchange) = exchange.filter(|_| !matches!(discard.progress, Progress::Lost)) else {
            self.history.note(message, name, || left(discard.reason, None));
            return;
        };
        let is_safe = queue.settings.dead_letter_at_least_once;
        let key = queue.settings.dead_letter_routing_key.clone();
        let time = self.seconds(now);
        let mut dead = self.dead_copy(message, name, discard.reason, exchange, key, time);
        dead.failures = discard.entry.failures;
        let Some(vhost) = self.vhosts.get(vhost_name) else { return };
        let mut targets = Vec::new();
        // No such exchange: dropped at most once, kept at least once.
        let exists = vhost.route(&dead.exchange, &dead, &mut targets).is_ok();
        if discard.reason != Reason::Rejected {
            targets.retain(|target| !death::is_cycle(&dead.deaths, target));
        }
        if let Progress::Sent(taken) = &discard.progress {
            targets.retain(|target| !taken.contains(target));
        }
        if is_safe && targets.is_empty() {
            self.hold(now, vhost_name, name, discard);
            return;
        }
        if !exists {
            self.history.note(message, name, || left(discard.reason, None));
            return;
        }
        let dead = Arc::new(dead);
        self.history.publish(Arc::clone(&dead), true);
        let mut taken = Vec::new();
        for target in &targets {
            if self.enqueue(now, vhost_name, &dead, target, is_safe) == Publish::Stored {
                taken.push(target.clone());
            }
        }
        if is_safe && taken.len() < targets.len() {
            if let Progress::Sent(earlier) = &mut discard.progress {
                taken.append(earlier);
            }
            discard.progress = Progress::Sent(taken);
            self.hold(now, vhost_name, name, discard);
            return;
        }
        self.history.note(&discard.entry.message, name, || left(discard.reason, Some(&targets)));
    }

    /// Keeps a copy in its queue until its dead-letter queues take it.
    fn hold(&mut self, now: Millis, vhost: &Name, name: &Name, discard: Discard) {
        let found = self.vhosts.get_mut(vhost).and_then(|vhost| vhost.queues.get_mut(name));
        if let Some(queue) = found {
            self.history.note(&discard.entry.message, name, || Fate::Ready);
            queue.hold_discard(now, discard);
            self.touch_queue(vhost, name);
        }
    }

    /// Returns the message as it goes to the dead-letter exchange.
    fn dead_copy(
        &self,
        message: &Message,
        queue: &Name,
        reason: Reason,
        exchange: Name,
        key: Option<Key>,
        time: u64,
    ) -> Message {
        let how = Circumstances {
            queue,
            reason,
            time,
            exchange: &message.exchange,
            routing_keys: message.visible_keys(),
            expiration: message.properties.raw(Property::Expiration).map(<[u8]>::to_vec),
        };
        let mut dead = message.clone();
        let is_first = dead.deaths.is_empty();
        death::record(&mut dead.deaths, &how);
        let mut properties = death::write_headers(&dead.properties, &dead.deaths, &how, is_first);
        if how.expiration.is_some() {
            // So that it does not expire again: <https://www.rabbitmq.com/docs/dlx#effects>.
            properties = properties.with(Property::Expiration, None);
        }
        dead.properties = properties;
        dead.id = self.history.next_id();
        dead.exchange = exchange;
        if let Some(key) = key {
            dead.routing_key = key;
            dead.further_keys = Vec::new();
        }
        dead
    }
}
