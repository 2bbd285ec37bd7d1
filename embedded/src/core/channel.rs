//! The state of one channel: what it consumes, what it has not acknowledged, what it waits to have confirmed.

use std::collections::{HashMap, VecDeque};

use super::confirms::Confirms;
use super::transaction::Transaction;
use super::{AmqpError, ConsumerKey, Entry, Millis, Name};

/// A delivery that waits for its acknowledgement.
#[derive(Debug)]
pub(crate) struct Unacked {
    /// The delivery tag.
    pub(crate) tag: u64,
    /// The queue that it came from.
    pub(crate) queue: Name,
    /// Who got it; `None` for `basic.get`.
    pub(crate) consumer: Option<ConsumerKey>,
    /// The copy; `None` once the consumer timed out and the queue took it back.
    pub(crate) entry: Option<Entry>,
    /// When the consumer times out.
    pub(crate) deadline: Option<Millis>,
}

/// The consumer of `amq.rabbitmq.reply-to`.
#[derive(Debug)]
pub(crate) struct ReplyConsumer {
    /// Its consumer tag.
    pub(crate) tag: Name,
    /// The name that requests carry as `reply_to` instead of the pseudo-queue's.
    pub(crate) queue: Name,
}

/// One channel.
#[derive(Debug, Default)]
pub(crate) struct Channel {
    last_tag: u64,
    /// Ascending by tag.
    unacked: VecDeque<Unacked>,
    /// The queue of each consumer tag.
    pub(crate) consumers: HashMap<Name, Name>,
    /// The prefetch of consumers to come; 0 is unlimited.
    pub(crate) prefetch: u32,
    /// `Some` after `confirm.select`.
    pub(crate) confirms: Option<Confirms>,
    /// `Some` after `tx.select`.
    pub(crate) transaction: Option<Transaction>,
    /// What an empty queue name stands for.
    pub(crate) last_queue: Option<Name>,
    /// The consumer of direct replies.
    pub(crate) reply: Option<ReplyConsumer>,
    /// The exchange that a publish was last allowed to, and the topology's age then: spares the check for each message.
    pub(crate) allowed: Option<(Name, u64)>,
}

impl Channel {
    /// Numbers a delivery.
    pub(crate) fn next_tag(&mut self) -> u64 {
        self.last_tag += 1;
        self.last_tag
    }

    /// Remembers a delivery until it is settled.
    pub(crate) fn hold(&mut self, unacked: Unacked) {
        self.unacked.push_back(unacked);
    }

    /// Remembers deliveries again that were settled in a transaction.
    pub(crate) fn hold_again(&mut self, deliveries: Vec<Unacked>) {
        self.unacked.extend(deliveries);
        self.unacked.make_contiguous().sort_by_key(|unacked| unacked.tag);
    }

    /// Takes out what an acknowledgement names, ascending by tag.
    ///
    /// Tag 0 with `multiple` names everything; any other tag must itself be outstanding: `rabbit_channel.erl`, `collect_acks`.
    pub(crate) fn collect(&mut self, tag: u64, multiple: bool) -> Result<Vec<Unacked>, AmqpError> {
        if tag == 0 && multiple {
            return Ok(self.unacked.drain(..).collect());
        }
        let Ok(index) = self.unacked.binary_search_by_key(&tag, |unacked| unacked.tag) else {
            return Err(AmqpError::precondition_failed(format!("unknown delivery tag {tag}")));
        };
        if multiple {
            return Ok(self.unacked.drain(..=index).collect());
        }
        Ok(self.unacked.remove(index).into_iter().collect())
    }

    /// Takes out everything that is not acknowledged.
    pub(crate) fn drain(&mut self) -> Vec<Unacked> {
        self.unacked.drain(..).collect()
    }

    /// Returns the deliveries from one queue.
    pub(crate) fn unacked_of<'c>(&'c mut self, queue: &'c str) -> impl Iterator<Item = &'c mut Unacked> {
        let uncommitted = self.transaction.iter_mut().flat_map(Transaction::deliveries_mut);
        self.unacked.iter_mut().chain(uncommitted).filter(move |unacked| &*unacked.queue == queue)
    }

    /// Takes the copies whose consumer has timed out; their tags stay outstanding.
    pub(crate) fn time_out(&mut self, now: Millis) -> Vec<(Name, ConsumerKey, Entry)> {
        let mut late = Vec::new();
        for unacked in &mut self.unacked {
            if unacked.deadline.is_some_and(|deadline| deadline <= now) {
                unacked.deadline = None;
                if let (Some(consumer), Some(entry)) = (&unacked.consumer, unacked.entry.take()) {
                    late.push((unacked.queue.clone(), consumer.clone(), entry));
                }
            }
        }
        late
    }

    /// Returns the earliest time at which a consumer times out.
    pub(crate) fn next_timeout(&self) -> Option<Millis> {
        self.unacked.iter().filter_map(|unacked| unacked.deadline).min()
    }

    /// Returns how many deliveries have not been acknowledged.
    #[cfg(any(test, feature = "fuzzing", feature = "management"))]
    pub(crate) fn unacked_count(&self) -> usize {
        let uncommitted = self.transaction.iter().flat_map(Transaction::deliveries);
        self.unacked.iter().chain(uncommitted).filter(|unacked| unacked.entry.is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(tags: u64) -> Channel {
        let mut channel = Channel::default();
        for _ in 0..tags {
            let tag = channel.next_tag();
            channel.hold(Unacked { tag, queue: "q".into(), consumer: None, entry: None, deadline: None });
        }
        channel
    }

    fn tags(collected: &[Unacked]) -> Vec<u64> {
        collected.iter().map(|unacked| unacked.tag).collect()
    }

    #[test]
    fn multiple_takes_everything_up_to_the_tag() {
        let mut channel = holding(5);
        assert_eq!(tags(&channel.collect(3, true).expect("3 is outstanding")), [1, 2, 3]);
        assert_eq!(tags(&channel.collect(0, true).expect("0 is everything")), [4, 5]);
    }

    #[test]
    fn a_settled_tag_is_unknown_even_with_multiple() {
        let mut channel = holding(3);
        assert_eq!(tags(&channel.collect(2, false).expect("2 is outstanding")), [2]);
        for multiple in [false, true] {
            let error = channel.collect(2, multiple).expect_err("2 was settled");
            assert_eq!((error.code, error.text.as_str()), (406, "unknown delivery tag 2"));
        }
        assert_eq!(channel.unacked.len(), 2);
    }
}
