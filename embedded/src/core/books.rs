//! Whether the books balance: every copy of every message is in exactly one place, and the queues agree with the books.

use std::collections::BTreeMap;

use super::channel::Channel;
use super::{Core, Fate, Millis};

impl Core {
    /// Compares the books with the queues, copy by copy.
    pub(crate) fn check_books(&self, now: Millis) {
        let mut booked: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for record in self.history.records() {
            for (queue, fate) in &record.copies {
                let (ready, unacked) = booked.entry(queue).or_default();
                match fate {
                    Fate::Ready => *ready += 1,
                    Fate::Unacked { .. } => *unacked += 1,
                    _ => {}
                }
            }
        }
        let queues = self.snapshot(now).queues;
        // A message stays in a stream however often it is delivered: the books know only what became of it last.
        let has_streams = queues.iter().any(|state| state.kind == "stream");
        for state in queues.into_iter().filter(|state| state.kind != "stream") {
            let (ready, unacked) = booked.get(&*state.name).copied().unwrap_or_default();
            assert_eq!(
                (state.depth() - state.unacked, state.unacked),
                (ready, unacked),
                "{} queue `{}` and the books",
                state.kind,
                state.name
            );
            let held: u64 = state.consumers.iter().map(|consumer| consumer.unacked).sum();
            assert!(held <= state.unacked, "consumers of `{}` hold {held} of {}", state.name, state.unacked);
        }
        let outstanding: usize = self
            .connections
            .values()
            .flat_map(|open| open.channels.values())
            .map(Channel::unacked_count)
            .sum();
        if has_streams {
            return;
        }
        let unacked: u64 = booked.values().map(|(_, unacked)| unacked).sum();
        assert_eq!(outstanding as u64, unacked, "the channels and the books");
    }
}
