//! Deliveries that were read at once go to their channel together: one look for the channel, one lock and one wake-up for all.

use std::{mem, sync::Arc};

use super::super::{
    Wire,
    sink::{Delivered, Sink},
};

/// The deliveries of one channel that were read at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// 0 as long as there is none.
    channel: u16,
    /// `None` if the channel takes no deliveries any more.
    sink: Option<Arc<dyn Sink>>,
    deliveries: Vec<Delivered>,
}

// === impl Batch ===

impl Batch {
    /// Returns whether it holds deliveries of this channel, which therefore exists.
    pub(super) const fn is_of(&self, channel: u16) -> bool {
        self.channel == channel
    }

    /// Adds a delivery; those of another channel go out first.
    pub(super) fn push(&mut self, channel: u16, delivered: Delivered, wire: &Wire) {
        if !self.is_of(channel) {
            self.flush(wire);
            self.channel = channel;
            // What comes on a channel that we are closing is dropped (AMQP 0-9-1 section 1.4.2.4): the broker takes it back.
            self.sink = wire.open_channel(channel).and_then(|state| state.sink());
        }
        self.deliveries.push(delivered);
    }

    /// Hands out what there is. To be called before anything else is done that came behind it.
    pub(super) fn flush(&mut self, wire: &Wire) {
        if mem::take(&mut self.channel) == 0 {
            return;
        }
        match self.sink.take() {
            Some(sink) => {
                wire.delivered.mark();
                sink.delivered(&mut self.deliveries);
            }
            None => self.deliveries.clear(),
        }
    }
}
