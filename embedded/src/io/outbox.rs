//! What is to be written to a connection, encoded already.

use std::collections::VecDeque;

use amq_protocol::protocol::AMQPClass;
use bytes::Bytes;

use super::encode;
use super::frame::EMPTY_FRAME_SIZE;
use crate::core::properties::Properties;
use crate::core::{Carrier, ChannelId, Message};

/// Beyond this many bytes a connection gets no more deliveries, and what its client sends stays unread.
pub(crate) const HIGH: usize = 1 << 20;
/// Below this many bytes it goes on.
const LOW: usize = 256 << 10;
/// Bodies from this size on are not copied.
const LARGE: usize = 8 << 10;

/// The bytes that wait for the socket.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Bytes>,
    tail: Vec<u8>,
    pending: usize,
}

// === impl Outbox ===

impl Outbox {
    /// Writes a method without content.
    pub(crate) fn method(&mut self, channel: ChannelId, method: &AMQPClass) {
        let before = self.tail.len();
        encode::method(&mut self.tail, channel, method);
        self.pending += self.tail.len() - before;
    }

    /// Writes bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.pending += bytes.len();
    }

    /// Writes a method with a message.
    pub(crate) fn content(
        &mut self,
        channel: ChannelId,
        carrier: &Carrier,
        message: &Message,
        properties: Option<&Properties>,
        frame_max: u32,
    ) {
        let before = self.tail.len();
        encode::carrier(&mut self.tail, channel, carrier, message);
        let properties = properties.unwrap_or(&message.properties);
        let size = message.body.len();
        encode::header(&mut self.tail, channel, size as u64, properties);
        self.pending += self.tail.len() - before;
        let limit = (frame_max - EMPTY_FRAME_SIZE) as usize;
        let mut start = 0;
        while start < size {
            let part = start..size.min(start + limit);
            start = part.end;
            self.pending += part.len() + EMPTY_FRAME_SIZE as usize;
            encode::body_start(&mut self.tail, channel, part.len());
            if part.len() < LARGE {
                self.tail.extend_from_slice(&message.body[part]);
            } else {
                self.close_tail();
                self.chunks.push_back(message.body.slice(part));
            }
            encode::body_end(&mut self.tail);
        }
    }

    /// Moves everything of another one behind what is here.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.close_tail();
        other.close_tail();
        self.pending += other.pending;
        self.chunks.append(&mut other.chunks);
    }

    /// Moves everything behind what the socket has not taken yet. It counts until [`Self::written`].
    pub(crate) fn take(&mut self, into: &mut VecDeque<Bytes>) {
        self.close_tail();
        into.append(&mut self.chunks);
    }

    /// The socket took this many bytes.
    pub(crate) fn written(&mut self, bytes: usize) {
        self.pending -= bytes;
    }

    /// Whether the client is too slow.
    pub(crate) fn is_full(&self) -> bool {
        self.pending > HIGH
    }

    /// Whether the client has caught up.
    pub(crate) fn has_room(&self) -> bool {
        self.pending < LOW
    }

    /// Whether there is something to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.tail.is_empty()
    }

    /// Returns how many bytes the socket has not taken.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Drops what has not been taken.
    pub(crate) fn clear(&mut self) {
        let dropped = self.chunks.iter().map(Bytes::len).sum::<usize>() + self.tail.len();
        self.chunks.clear();
        self.tail.clear();
        self.pending -= dropped;
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            // The next batch is likely to be as large as this one.
            let next = Vec::with_capacity(self.tail.len().min(LOW));
            self.chunks.push_back(std::mem::replace(&mut self.tail, next).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use amq_protocol::frame::{AMQPFrame, parse_frame};
    use amq_protocol::protocol::basic::{AMQPMethod, AMQPProperties, Deliver};

    use super::*;

    fn drain(outbox: &mut Outbox) -> Vec<u8> {
        let mut chunks = VecDeque::new();
        outbox.take(&mut chunks);
        let bytes = Vec::from(chunks).concat();
        outbox.written(bytes.len());
        assert_eq!((outbox.pending, outbox.is_empty()), (0, true));
        bytes
    }

    #[test]
    fn a_delivery_of_any_size_is_read_back() {
        for size in [0, 1, LARGE - 1, LARGE, 131_064, 131_065, 500_000] {
            let properties = AMQPProperties::default().with_delivery_mode(2).with_message_id("id".into());
            let body: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let message = Message {
                exchange: "x".into(),
                routing_key: b"key".as_slice().into(),
                properties: (&properties).into(),
                body: body.clone().into(),
                ..Message::default()
            };
            let carrier = Carrier::Deliver { consumer_tag: "tag".into(), delivery_tag: 7, redelivered: true };
            let deliver = Deliver {
                consumer_tag: "tag".into(),
                delivery_tag: 7,
                redelivered: true,
                exchange: "x".into(),
                routing_key: "key".into(),
            };
            let mut outbox = Outbox::default();
            outbox.content(3, &carrier, &message, None, 131_072);
            let bytes = drain(&mut outbox);
            let (rest, frame) = parse_frame(bytes.as_slice()).unwrap();
            assert_eq!(frame, AMQPFrame::Method(3, AMQPClass::Basic(AMQPMethod::Deliver(deliver))));
            let (mut rest, frame) = parse_frame(rest).unwrap();
            let AMQPFrame::Header(3, header) = frame else { panic!("{frame:?}") };
            assert_eq!((header.body_size, header.properties), (size as u64, properties));
            let mut found = Vec::new();
            while !rest.is_empty() {
                let (more, frame) = parse_frame(rest).unwrap();
                let AMQPFrame::Body(3, part) = frame else { panic!("{frame:?}") };
                found.extend(part);
                rest = more;
            }
            assert_eq!(found, body);
        }
    }

    #[test]
    fn an_outbox_is_full_until_the_socket_took_most_of_it() {
        let mut outbox = Outbox::default();
        outbox.raw(&vec![0; HIGH + 1]);
        assert!(outbox.is_full());
        let mut chunks = VecDeque::new();
        outbox.take(&mut chunks);
        assert!(outbox.is_full());
        outbox.written(HIGH / 2);
        assert!(!outbox.is_full() && !outbox.has_room());
        outbox.written(HIGH / 2);
        assert!(outbox.has_room());
    }
}
