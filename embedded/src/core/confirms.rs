//! Publisher confirms of one channel, coalesced as RabbitMQ does it.
//!
//! RabbitMQ confirms a message that found no queue at once; the others when their queues have settled them, which it sums up
//! in one `multiple` acknowledgement as far as nothing before is outstanding: `rabbit_channel.erl`, `noreply_coalesce` and `coalesce_and_send`.

use std::collections::BTreeSet;

use amq_protocol::protocol::basic::{AMQPMethod, Ack, Nack};

/// The confirms of a channel that has sent `confirm.select`.
#[derive(Debug, Default)]
pub(crate) struct Confirms {
    last: u64,
    acked: Vec<u64>,
    nacked: Vec<u64>,
    /// Published and not confirmed: a fault holds them back.
    withheld: BTreeSet<u64>,
}

impl Confirms {
    /// Numbers a publish; the first is 1.
    pub(crate) fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Every queue has the message.
    pub(crate) fn ack(&mut self, tag: u64) {
        self.acked.push(tag);
    }

    /// A queue refused the message.
    pub(crate) fn nack(&mut self, tag: u64) {
        self.nacked.push(tag);
    }

    /// Holds the confirm of a message back until it is released.
    pub(crate) fn withhold(&mut self, tag: u64) {
        self.withheld.insert(tag);
    }

    /// Confirms everything that was held back, at the next flush.
    pub(crate) fn release(&mut self) {
        self.acked.extend(std::mem::take(&mut self.withheld));
    }

    /// Returns whether something waits for the next flush.
    pub(crate) fn is_pending(&self) -> bool {
        !self.acked.is_empty() || !self.nacked.is_empty()
    }

    /// Takes what waits: acknowledged and refused tags.
    pub(crate) fn take(&mut self) -> (Vec<u64>, Vec<u64>) {
        (std::mem::take(&mut self.acked), std::mem::take(&mut self.nacked))
    }

    /// Returns the frames that confirm everything that waits.
    pub(crate) fn flush(&mut self, mut send: impl FnMut(AMQPMethod)) {
        if !self.is_pending() {
            return;
        }
        let (mut acked, mut nacked) = self.take();
        acked.sort_unstable();
        nacked.sort_unstable();
        match acked.as_slice() {
            [] => {}
            &[tag] => send(ack(tag, false)),
            tags => self.coalesce(tags, nacked.first(), |tag, multiple| send(ack(tag, multiple))),
        }
        if !nacked.is_empty() {
            self.coalesce(&nacked, acked.first(), |tag, multiple| send(nack(tag, multiple)));
        }
    }

    /// Confirms one by one, ascending or descending.
    pub(crate) fn flush_single(&mut self, descending: bool, mut send: impl FnMut(AMQPMethod)) {
        let (acked, nacked) = self.take();
        let mut frames: Vec<_> = acked.into_iter().map(|tag| (tag, ack(tag, false))).collect();
        frames.extend(nacked.into_iter().map(|tag| (tag, nack(tag, false))));
        frames.sort_by_key(|(tag, _)| *tag);
        if descending {
            frames.reverse();
        }
        frames.into_iter().for_each(|(_, frame)| send(frame));
    }

    /// Confirms in any order that the specification allows: single tags at random, and `multiple` up to any tag below which
    /// nothing is withheld or went the other way.
    pub(crate) fn flush_adversarial(&mut self, rng: &mut fastrand::Rng, mut send: impl FnMut(AMQPMethod)) {
        let (mut acked, mut nacked) = self.take();
        acked.sort_unstable();
        rng.shuffle(&mut nacked);
        let limit = self.withheld.first().into_iter().chain(nacked.iter().min()).min().copied();
        for tag in nacked {
            send(nack(tag, false));
        }
        while !acked.is_empty() {
            let index = rng.usize(..acked.len());
            let tag = acked[index];
            if rng.bool() && limit.is_none_or(|limit| tag < limit) {
                acked.drain(..=index);
                send(ack(tag, true));
            } else {
                acked.remove(index);
                send(ack(tag, false));
            }
        }
    }

    /// One `multiple` up to the first tag that is outstanding or went the other way, single ones above.
    fn coalesce(&self, tags: &[u64], other: Option<&u64>, mut send: impl FnMut(u64, bool)) {
        let cutoff = self.withheld.first().into_iter().chain(other).min().copied().unwrap_or(u64::MAX);
        let below = tags.partition_point(|&tag| tag < cutoff);
        if let Some(&tag) = tags[..below].last() {
            send(tag, true);
        }
        for &tag in &tags[below..] {
            send(tag, false);
        }
    }
}

/// Returns `basic.ack`.
pub(crate) fn ack(delivery_tag: u64, multiple: bool) -> AMQPMethod {
    AMQPMethod::Ack(Ack { delivery_tag, multiple })
}

/// Returns `basic.nack`.
fn nack(delivery_tag: u64, multiple: bool) -> AMQPMethod {
    AMQPMethod::Nack(Nack { delivery_tag, multiple, requeue: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(acked: &[u64], nacked: &[u64], withheld: &[u64], expected: &[(&str, u64, bool)]) {
        let mut confirms = Confirms::default();
        acked.iter().for_each(|&tag| confirms.ack(tag));
        nacked.iter().for_each(|&tag| confirms.nack(tag));
        withheld.iter().for_each(|&tag| confirms.withhold(tag));
        let mut sent = Vec::new();
        confirms.flush(|method| match method {
            AMQPMethod::Ack(ack) => sent.push(("ack", ack.delivery_tag, ack.multiple)),
            AMQPMethod::Nack(nack) => sent.push(("nack", nack.delivery_tag, nack.multiple)),
            other => panic!("unexpected {other:?}"),
        });
        assert_eq!(sent, expected);
        assert!(!confirms.is_pending());
    }

    #[test]
    fn one_confirm_is_single() {
        check(&[7], &[], &[], &[("ack", 7, false)]);
    }

    #[test]
    fn several_confirms_are_one_multiple() {
        check(&[3, 1, 2], &[], &[], &[("ack", 3, true)]);
    }

    #[test]
    fn nothing_above_a_nack_is_summed_up() {
        check(
            &[1, 2, 4, 5],
            &[3],
            &[],
            &[("ack", 2, true), ("ack", 4, false), ("ack", 5, false), ("nack", 3, false)],
        );
    }

    #[test]
    fn nothing_above_a_withheld_confirm_is_summed_up() {
        check(&[1, 3, 4], &[], &[2], &[("ack", 1, true), ("ack", 3, false), ("ack", 4, false)]);
    }

    #[test]
    fn nacks_alone_are_summed_up_too() {
        check(&[], &[1, 2], &[], &[("nack", 2, true)]);
    }
}
