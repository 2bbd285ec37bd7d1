//! When the core has something to do by itself.

use std::collections::{BTreeSet, HashMap};

use super::Millis;
use super::state::QueueRef;

/// The times at which queues expire messages or themselves, and consumers time out.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Millis, QueueRef)>,
    by_queue: HashMap<QueueRef, Millis>,
    /// No consumer times out before this.
    consumers: Option<Millis>,
    /// When confirms go out that a fault delays.
    confirms: Option<Millis>,
}

impl Timers {
    /// Sets, moves or removes the timer of a queue.
    pub(crate) fn set(&mut self, queue: &QueueRef, at: Option<Millis>) {
        if at.is_none() && self.by_queue.is_empty() {
            return;
        }
        let known = self.by_queue.get(queue).copied();
        if known == at {
            return;
        }
        if let Some(known) = known {
            self.due.remove(&(known, queue.clone()));
            self.by_queue.remove(queue);
        }
        if let Some(at) = at {
            self.due.insert((at, queue.clone()));
            self.by_queue.insert(queue.clone(), at);
        }
    }

    /// Notes when a delivery times out.
    pub(crate) fn add_timeout(&mut self, at: Millis) {
        self.consumers = Some(self.consumers.map_or(at, |known| known.min(at)));
    }

    /// Takes a queue whose time has come.
    pub(crate) fn next_queue(&mut self, now: Millis) -> Option<QueueRef> {
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, queue) = self.due.pop_first()?;
        self.by_queue.remove(&queue);
        Some(queue)
    }

    /// Returns whether a consumer may have timed out; then every delivery is to be looked at and those that wait added again.
    pub(crate) fn take_timeouts(&mut self, now: Millis) -> bool {
        self.consumers.take_if(|at| *at <= now).is_some()
    }

    /// Sets when delayed confirms go out, unless that is set already.
    pub(crate) fn flush_by(&mut self, at: Millis) {
        self.confirms.get_or_insert(at);
    }

    /// Returns whether delayed confirms go out now.
    pub(crate) fn take_flush(&mut self, now: Millis) -> bool {
        self.confirms.take_if(|at| *at <= now).is_some()
    }

    /// Returns the earliest time at which there is something to do.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.due.first().map(|(at, _)| *at).into_iter().chain(self.consumers).chain(self.confirms).min()
    }
}
