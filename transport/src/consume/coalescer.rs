//! Which frames to send for which settled deliveries: few, and never one that the broker must refuse.
//!
//! RabbitMQ closes the channel (406) if an acknowledgement names a tag that is unknown or already settled, also with
//! `multiple` (<https://www.rabbitmq.com/docs/confirms#consumer-acks-double-acking>). A tag leaves this list in the moment
//! its frame is made, so no frame can name it again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::Settlement;

/// The deliveries of one channel that are not settled yet, and which of them wait for company.
#[derive(Debug)]
pub(super) struct Coalescer {
    /// In the order of their tags; at most as many as the prefetch.
    unsettled: VecDeque<Slot>,
    /// How many at the front are done: what one `multiple` can cover.
    prefix: usize,
    /// How many are done, prefix included.
    done: usize,
    limits: Limits,
    /// When a frame was last made.
    flushed: Option<Instant>,
    /// The offset of the newest delivery, if the queue is a stream.
    newest_offset: Option<u64>,
}

/// When the coalescer stops waiting for company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// A finished prefix this long goes out.
    pub(super) flush_count: usize,
    /// This many finished deliveries go out in any case, so that the broker's window never runs dry.
    pub(super) window: usize,
    /// With nothing else in flight, there is no use in waiting longer than this since the last frame.
    pub(super) interval: Duration,
}

/// One frame for the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// `basic.ack`; with `multiple` for every unsettled tag up to this one.
    Ack { tag: u64, multiple: bool, covers: usize },
    /// `basic.reject`.
    Reject { tag: u64, requeue: bool },
    /// `basic.nack` with requeue.
    Nack { tag: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    tag: u64,
    /// Only streams give their deliveries one.
    offset: Option<u64>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    InFlight,
    Done,
    /// Done, and seen by one [`Coalescer::tick`] already.
    Aged,
}

// === impl Limits ===

impl Limits {
    /// Caps the count at half the prefetch: waiting for more would leave the broker with nothing to send.
    pub(super) fn new(prefetch: u16, flush_count: u16, interval: Duration) -> Self {
        let window = usize::from(prefetch / 2).max(1);
        // A timer of no length would only keep a thread busy.
        let interval = interval.max(Duration::from_millis(1));
        Self { flush_count: usize::from(flush_count).clamp(1, window), window, interval }
    }
}

// === impl Coalescer ===

impl Coalescer {
    pub(super) const fn new(limits: Limits) -> Self {
        Self { unsettled: VecDeque::new(), prefix: 0, done: 0, limits, flushed: None, newest_offset: None }
    }

    /// Takes note of a delivery. Tags of a channel rise by one.
    pub(super) fn delivered(&mut self, tag: u64, offset: Option<u64>) {
        self.unsettled.push_back(Slot { tag, offset, state: State::InFlight });
        self.newest_offset = offset.or(self.newest_offset);
    }

    /// Settles one delivery and adds the frames that are due to `frames`.
    ///
    /// A tag that is not in flight is left alone: it has been settled.
    pub(super) fn settle(
        &mut self,
        tag: u64,
        settlement: Settlement,
        now: impl Fn() -> Instant,
        frames: &mut Vec<Frame>,
    ) {
        let Ok(at) = self.unsettled.binary_search_by_key(&tag, |slot| slot.tag) else { return };
        if self.unsettled[at].state != State::InFlight {
            return;
        }
        let single = match settlement {
            Settlement::Ack => {
                self.unsettled[at].state = State::Done;
                self.done += 1;
                None
            }
            Settlement::Reject => Some(Frame::Reject { tag, requeue: false }),
            Settlement::Requeue => Some(Frame::Reject { tag, requeue: true }),
            Settlement::Release => Some(Frame::Nack { tag }),
        };
        if let Some(frame) = single {
            self.unsettled.remove(at);
            frames.push(frame);
        }
        if at == self.prefix {
            self.extend_prefix();
        }
        self.flush_what_is_due(now, frames);
    }

    /// Makes frames for the finished prefix, and for what overtook a slower delivery at least one tick ago.
    pub(super) fn tick(&mut self, now: Instant, frames: &mut Vec<Frame>) {
        self.flush_prefix(now, frames);
        self.flush_singles(now, frames, |state| state == State::Aged);
        for slot in &mut self.unsettled {
            if slot.state == State::Done {
                slot.state = State::Aged;
            }
        }
    }

    /// Makes frames for everything that is done.
    pub(super) fn flush(&mut self, now: Instant, frames: &mut Vec<Frame>) {
        self.flush_prefix(now, frames);
        self.flush_singles(now, frames, |state| state != State::InFlight);
    }

    /// Returns where to go on reading a stream: at the first delivery that is not done, or behind the newest.
    pub(super) fn resume_offset(&self) -> Option<u64> {
        let first = self.unsettled.iter().find(|slot| slot.state == State::InFlight);
        match first {
            Some(slot) => slot.offset,
            None => self.newest_offset.map(|newest| newest + 1),
        }
    }

    /// Returns how many deliveries are not done.
    pub(super) fn in_flight(&self) -> usize {
        self.unsettled.len() - self.done
    }

    /// Returns how many deliveries are done and wait for company.
    pub(super) const fn waiting(&self) -> usize {
        self.done
    }

    fn flush_what_is_due(&mut self, now: impl Fn() -> Instant, frames: &mut Vec<Frame>) {
        if self.prefix >= self.limits.flush_count {
            self.flush_prefix(now(), frames);
        }
        if self.done >= self.limits.window {
            self.flush(now(), frames);
        } else if self.done > 0 && self.in_flight() == 0 {
            // At a low rate nothing more comes to share the frame with; at a high rate the count decides.
            let now = now();
            if self.flushed.is_none_or(|flushed| now.duration_since(flushed) >= self.limits.interval) {
                self.flush(now, frames);
            }
        }
    }

    fn flush_prefix(&mut self, now: Instant, frames: &mut Vec<Frame>) {
        let covers = self.prefix;
        if covers == 0 {
            return;
        }
        let tag = self.unsettled[covers - 1].tag;
        self.unsettled.drain(..covers);
        self.prefix = 0;
        self.done -= covers;
        self.flushed = Some(now);
        // What was settled singly below `tag` is unknown to the broker by now, and `multiple` skips it.
        frames.push(Frame::Ack { tag, multiple: covers > 1, covers });
    }

    /// Acknowledges one by one behind the prefix, which must have been flushed.
    fn flush_singles(&mut self, now: Instant, frames: &mut Vec<Frame>, due: impl Fn(State) -> bool) {
        if self.done == 0 {
            return;
        }
        let before = frames.len();
        self.unsettled.retain(|slot| {
            let keep = slot.state == State::InFlight || !due(slot.state);
            if !keep {
                frames.push(Frame::Ack { tag: slot.tag, multiple: false, covers: 1 });
            }
            keep
        });
        if frames.len() > before {
            self.done -= frames.len() - before;
            self.flushed = Some(now);
        }
    }

    fn extend_prefix(&mut self) {
        while self.unsettled.get(self.prefix).is_some_and(|slot| slot.state != State::InFlight) {
            self.prefix += 1;
        }
    }
}

// === impl Frame ===

impl Frame {
    /// Returns how many deliveries the frame settles.
    pub(super) const fn covers(self) -> usize {
        match self {
            Self::Ack { covers, .. } => covers,
            Self::Reject { .. } | Self::Nack { .. } => 1,
        }
    }
}

#[cfg(test)]
mod tests;
