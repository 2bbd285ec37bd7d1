//! Faults of what the broker sends: held back or swallowed on its way to the outbox.

use crate::core::{Carrier, ChannelId, Message, answer_name, properties::Properties};
use crate::faults::AnswerFault;

use super::outbox::Outbox;
use super::peer::Peer;
use amq_protocol::protocol::AMQPClass;

/// The faults that a test asked for.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    faults: Vec<AnswerFault>,
}

impl Answers {
    /// Adds a fault behind the others.
    pub(crate) fn add(&mut self, fault: AnswerFault) {
        self.faults.push(fault);
    }

    /// Forgets all faults.
    pub(crate) fn clear(&mut self) {
        self.faults.clear();
    }

    /// Forgets the faults that hold something back.
    pub(crate) fn hold_nothing(&mut self) {
        self.faults.retain(|fault| !fault.is_held());
    }

    /// Writes a method without content.
    pub(crate) fn method(&mut self, peer: &mut Peer, channel: ChannelId, method: &AMQPClass) {
        if let Some(outbox) = self.outbox(peer, channel, || answer_name(method)) {
            outbox.method(channel, method);
        }
    }

    /// Writes a method with a message.
    pub(crate) fn content(
        &mut self,
        peer: &mut Peer,
        channel: ChannelId,
        carrier: &Carrier,
        message: &Message,
        properties: Option<&Properties>,
        frame_max: u32,
    ) {
        if let Some(outbox) = self.outbox(peer, channel, || carrier.name()) {
            outbox.content(channel, carrier, message, properties, frame_max);
        }
    }

    /// Returns where a method is to be written; `None` if it is swallowed.
    fn outbox<'p>(
        &mut self,
        peer: &'p mut Peer,
        channel: ChannelId,
        method: impl FnOnce() -> &'static str,
    ) -> Option<&'p mut Outbox> {
        if self.faults.is_empty() && peer.held.is_empty() {
            return Some(&mut peer.outbox);
        }
        let (method, client) = (method(), peer.client_name.as_deref());
        let mut struck = None;
        for fault in &mut self.faults {
            // Each counts, whichever strikes.
            struck = fault.strike(method, client).filter(|_| struck.is_none()).or(struck);
        }
        match struck {
            Some(false) => None,
            Some(true) => Some(peer.held.entry(channel).or_default()),
            // What follows on its channel waits with it.
            None if peer.held.contains_key(&channel) => peer.held.get_mut(&channel),
            None => Some(&mut peer.outbox),
        }
    }
}
