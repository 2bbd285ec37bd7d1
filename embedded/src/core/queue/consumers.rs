//! Who gets the next message.
//!
//! Competing consumers take turns; one of a higher priority goes first while it has credit
//! (<https://www.rabbitmq.com/docs/consumer-priority>). With a single active consumer the others wait behind it
//! (<https://www.rabbitmq.com/docs/consumers#single-active-consumer>).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, VecDeque};

use amq_protocol::types::FieldTable;

use crate::core::ConsumerKey;

/// A quorum queue gives no consumer more than this without an acknowledgement: `rabbit_fifo_client.erl`, `UNLIMITED_PREFETCH_COUNT`.
pub(crate) const QUORUM_PREFETCH: u32 = 2000;

/// What a consumer asked for.
#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) key: ConsumerKey,
    pub(crate) no_ack: bool,
    pub(crate) exclusive: bool,
    /// How many deliveries it may hold; 0 is unlimited.
    pub(crate) prefetch: u32,
    pub(crate) priority: i32,
    /// How long it may hold a delivery, in milliseconds.
    pub(crate) timeout: Option<u64>,
    pub(crate) arguments: FieldTable,
}

impl Subscription {
    /// Returns how many deliveries it may hold in a queue of that type.
    fn limit(&self, is_quorum: bool) -> u32 {
        match self.prefetch {
            0 if is_quorum => QUORUM_PREFETCH,
            prefetch if prefetch > 0 && (is_quorum || !self.no_ack) => prefetch,
            _ => u32::MAX,
        }
    }
}

/// A consumer of a queue.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) subscription: Subscription,
    /// How many deliveries it holds.
    pub(crate) unacked: u32,
    /// How many deliveries more it may get.
    credit: u32,
    /// How many of its deliveries the queue took back because it took too long. It gets nothing until it has settled them.
    pub(crate) late: u32,
    /// Whether it gets messages at all: not one that waits behind a single active consumer.
    pub(crate) is_active: bool,
    /// Whether it gets nothing more because one of higher priority takes over once it holds nothing.
    is_quiescing: bool,
    /// Whether its connection cannot take more now.
    is_paused: bool,
    /// Whether it waits in line for a message.
    is_queued: bool,
    /// The order of subscription.
    number: u64,
}

impl Consumer {
    fn has_credit(&self) -> bool {
        let is_up = self.is_active && !self.is_quiescing && !self.is_paused && self.late == 0;
        is_up && self.credit > 0
    }

    /// One of its deliveries ended.
    ///
    /// On a quorum queue that never gives more credit than the prefetch (`rabbit_fifo.erl`, `increase_credit`); on a classic queue it may, if
    /// the delivery was one of an earlier consumer with the same tag (`rabbit_limiter.erl`, `ack_from_queue`).
    fn release(&mut self, is_quorum: bool) {
        self.unacked = self.unacked.saturating_sub(1);
        self.credit = self.credit.saturating_add(1);
        if is_quorum {
            self.credit = self.credit.min(self.subscription.limit(is_quorum));
        }
    }
}

/// What is left of a cancelled consumer.
#[derive(Debug)]
struct Leaving {
    /// How many deliveries it holds.
    unacked: u32,
    /// The order of subscription.
    number: u64,
}

/// The consumers of one queue.
#[derive(Debug)]
pub(crate) struct Consumers {
    by_key: HashMap<ConsumerKey, Consumer>,
    /// Those with credit, the highest priority first; within one they take turns.
    line: BTreeMap<Reverse<i32>, VecDeque<ConsumerKey>>,
    /// Consumers that were cancelled while they held deliveries.
    leaving: HashMap<ConsumerKey, Leaving>,
    last: u64,
    is_single_active: bool,
    /// Whether an active consumer yields to one of higher priority: quorum queues.
    is_quorum: bool,
}

impl Consumers {
    pub(crate) fn new(is_quorum: bool, is_single_active: bool) -> Self {
        let (by_key, leaving) = (HashMap::new(), HashMap::new());
        Self { by_key, line: BTreeMap::new(), leaving, last: 0, is_single_active, is_quorum }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Returns how many are active or hold deliveries although they were cancelled.
    pub(crate) fn engaged(&self) -> u64 {
        (self.by_key.values().filter(|consumer| consumer.is_active).count() + self.leaving.len()) as u64
    }

    pub(crate) fn get(&self, key: &ConsumerKey) -> Option<&Consumer> {
        self.by_key.get(key)
    }

    /// Returns the consumers in the order of their subscription.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Consumer> {
        let mut consumers: Vec<_> = self.by_key.values().collect();
        consumers.sort_by_key(|consumer| consumer.number);
        consumers.into_iter()
    }

    /// Returns the order of subscription of a consumer that is there, or that holds deliveries still.
    pub(crate) fn number(&self, key: &ConsumerKey) -> Option<u64> {
        let number = self.by_key.get(key).map(|consumer| consumer.number);
        number.or_else(|| self.leaving.get(key).map(|left| left.number))
    }

    pub(crate) fn has_exclusive(&self) -> bool {
        self.by_key.values().any(|consumer| consumer.subscription.exclusive)
    }

    pub(crate) fn add(&mut self, subscription: Subscription) {
        self.last += 1;
        let key = subscription.key.clone();
        let limit = subscription.limit(self.is_quorum);
        // To a quorum queue a tag that is used again is the same consumer (`rabbit_fifo.erl`, `merge_consumer`), to a classic queue
        // another one (`rabbit_limiter.erl`, `forget_consumer`).
        let (unacked, credit, number) = match self.leaving.remove(&key) {
            Some(Leaving { unacked, number }) if self.is_quorum => {
                (unacked, limit.saturating_sub(unacked), number)
            }
            left => (left.map_or(0, |left| left.unacked), limit, self.last),
        };
        let consumer = Consumer {
            subscription,
            unacked,
            credit,
            late: 0,
            is_active: !self.is_single_active,
            is_quiescing: false,
            is_paused: false,
            is_queued: false,
            number,
        };
        self.by_key.insert(key.clone(), consumer);
        self.elect();
        self.queue_up(&key);
    }

    /// Removes a consumer; what it holds stays out. Returns whether there was one.
    pub(crate) fn remove(&mut self, key: &ConsumerKey) -> bool {
        let Some(consumer) = self.by_key.remove(key) else { return false };
        if let Some(line) = self.line.get_mut(&Reverse(consumer.subscription.priority)) {
            line.retain(|waiting| waiting != key);
        }
        if consumer.unacked > 0 {
            let Consumer { unacked, number, .. } = consumer;
            self.leaving.insert(key.clone(), Leaving { unacked, number });
        }
        self.elect();
        true
    }

    pub(crate) fn pause(&mut self, key: &ConsumerKey, is_paused: bool) {
        if let Some(consumer) = self.by_key.get_mut(key) {
            consumer.is_paused = is_paused;
        }
        self.queue_up(key);
    }

    /// Returns whether somebody would take a message now.
    pub(crate) fn has_taker(&self) -> bool {
        let mut waiting = self.line.values().flatten();
        waiting.any(|key| self.by_key.get(key).is_some_and(Consumer::has_credit))
    }

    /// Chooses who gets the next message and counts it; the one who got it goes to the end of its line. `wants` tells who can
    /// use one: readers of a stream are at different places.
    pub(crate) fn next(&mut self, wants: impl Fn(&ConsumerKey) -> bool) -> Option<(ConsumerKey, bool)> {
        for line in self.line.values_mut() {
            for _ in 0..line.len() {
                let Some(key) = line.pop_front() else { break };
                let Some(consumer) = self.by_key.get_mut(&key) else { continue };
                if !consumer.has_credit() {
                    consumer.is_queued = false;
                    continue;
                }
                if !wants(&key) {
                    line.push_back(key);
                    continue;
                }
                let no_ack = consumer.subscription.no_ack;
                consumer.unacked += u32::from(!no_ack);
                consumer.credit -= u32::from(!no_ack || self.is_quorum);
                // On a classic queue it goes to the end without credit too, and leaves the line when its turn comes:
                // `rabbit_queue_consumers.erl`, `deliver`.
                consumer.is_queued = !self.is_quorum || consumer.has_credit();
                if consumer.is_queued {
                    line.push_back(key.clone());
                }
                return Some((key, no_ack));
            }
        }
        None
    }

    /// Deliveries of a consumer without acknowledgements are on their way. On a quorum queue credit returns when the client settles, which
    /// `rabbit_fifo_client.erl`, `handle_delivery`, does for it.
    pub(crate) fn sent(&mut self, key: &ConsumerKey, count: u32) {
        if let Some(consumer) = self.by_key.get_mut(key) {
            consumer.credit =
                consumer.credit.saturating_add(count).min(consumer.subscription.limit(self.is_quorum));
        }
        self.queue_up(key);
    }

    /// One delivery of a consumer ended; it has its credit back.
    pub(crate) fn settled(&mut self, key: &ConsumerKey) {
        if let Some(consumer) = self.by_key.get_mut(key) {
            consumer.release(self.is_quorum);
            self.queue_up(key);
        } else if let Some(left) = self.leaving.get_mut(key) {
            left.unacked -= 1;
            if left.unacked == 0 {
                self.leaving.remove(key);
            }
        }
        if self.is_single_active {
            self.elect();
        }
    }

    /// The queue took a delivery back because it took too long.
    pub(crate) fn timed_out(&mut self, key: &ConsumerKey) {
        if let Some(consumer) = self.by_key.get_mut(key) {
            consumer.late += 1;
            consumer.release(self.is_quorum);
        }
        self.elect();
    }

    /// A consumer settled a delivery that the queue had taken back: `rabbit_fifo.erl`, `maybe_untimeout`.
    pub(crate) fn settled_late(&mut self, key: &ConsumerKey) {
        if let Some(consumer) = self.by_key.get_mut(key) {
            consumer.late = consumer.late.saturating_sub(1);
        }
        self.elect();
        self.queue_up(key);
    }

    fn queue_up(&mut self, key: &ConsumerKey) {
        let Some(consumer) = self.by_key.get_mut(key) else { return };
        if !consumer.is_queued && consumer.has_credit() {
            consumer.is_queued = true;
            self.line.entry(Reverse(consumer.subscription.priority)).or_default().push_back(key.clone());
        }
    }

    /// Makes one consumer active where only one may be: of those that wait the one with the highest priority, on a quorum queue the
    /// one with the most credit among these, then the oldest.
    ///
    /// On a quorum queue a consumer of higher priority takes over. The active consumer drains first, then yields, even if its challenger
    /// has left. On a classic queue the active consumer stays.
    /// `rabbit_fifo.erl`, `activate_next_consumer`, `update_or_remove_con` and `sort_waiting`; `rabbit_queue_consumers.erl`, `get_consumer`.
    fn elect(&mut self) {
        if !self.is_single_active {
            return;
        }
        if let Some(active) = self.by_key.values_mut().find(|consumer| consumer.is_active)
            && active.is_quiescing
            && active.unacked == 0
        {
            active.is_active = false;
            active.is_quiescing = false;
        }
        let rank = |consumer: &&Consumer| {
            let credit = if self.is_quorum { consumer.credit } else { 0 };
            (consumer.subscription.priority, credit, Reverse(consumer.number))
        };
        let waiting = self.by_key.values().filter(|consumer| !consumer.is_active && consumer.late == 0);
        let Some(next) = waiting.max_by_key(rank) else { return };
        let (next_key, next_priority) = (next.subscription.key.clone(), next.subscription.priority);
        if let Some(active) = self.by_key.values_mut().find(|consumer| consumer.is_active) {
            if active.late == 0 {
                if !self.is_quorum || next_priority <= active.subscription.priority {
                    return;
                }
                if active.unacked > 0 {
                    active.is_quiescing = true;
                    return;
                }
            }
            active.is_active = false;
            active.is_quiescing = false;
        }
        if let Some(next) = self.by_key.get_mut(&next_key) {
            next.is_active = true;
        }
        self.queue_up(&next_key);
    }
}
