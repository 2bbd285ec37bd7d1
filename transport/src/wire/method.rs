//! The few methods that are read and written by hand, because a message's bytes pass through them.

use bytes::{BufMut as _, Bytes};

use super::{
    fields::Fields,
    sink::{Confirm, Content, Delivered},
};

/// Class and method ids (AMQP 0-9-1 section 1.3; `connection.blocked` and `basic.nack` are RabbitMQ's).
pub(super) const CONNECTION_START: Id = (10, 10);
pub(super) const CONNECTION_TUNE: Id = (10, 30);
pub(super) const CONNECTION_TUNE_OK: Id = (10, 31);
pub(super) const CONNECTION_CLOSE: Id = (10, 50);
pub(super) const CONNECTION_BLOCKED: Id = (10, 60);
pub(super) const CONNECTION_UNBLOCKED: Id = (10, 61);
pub(super) const CHANNEL_FLOW: Id = (20, 20);
pub(super) const CHANNEL_CLOSE: Id = (20, 40);
pub(super) const CHANNEL_CLOSE_OK: Id = (20, 41);
const QUEUE_DECLARE_OK: Id = (50, 11);
const BASIC_CONSUME_OK: Id = (60, 21);
pub(super) const BASIC_CANCEL: Id = (60, 30);
const BASIC_CANCEL_OK: Id = (60, 31);
const BASIC_PUBLISH: Id = (60, 40);
pub(super) const BASIC_RETURN: Id = (60, 50);
pub(super) const BASIC_DELIVER: Id = (60, 60);
pub(super) const BASIC_ACK: Id = (60, 80);
const BASIC_REJECT: Id = (60, 90);
pub(super) const BASIC_NACK: Id = (60, 120);

/// Class and method.
pub(super) type Id = (u16, u16);

/// A method of the broker that brings a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier<'a> {
    Deliver { tag: u64, redelivered: bool, exchange: &'a [u8], routing_key: &'a [u8] },
    Return { exchange: &'a [u8], routing_key: &'a [u8] },
}

/// `connection.close` or `channel.close` of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    /// What is not UTF-8 is replaced: RabbitMQ cuts texts at 255 bytes, which may split a character.
    pub(super) text: String,
    /// Class and method of the request that it is about; zero if it is about none.
    pub(super) cause: Id,
}

/// What `connection.tune` and `connection.tune-ok` agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tune {
    pub(super) channel_max: u16,
    pub(super) frame_max: u32,
    pub(super) heartbeat: u16,
}

/// Splits the payload of a method frame.
pub(super) fn split(payload: &[u8]) -> Option<(Id, &[u8])> {
    let (&[a, b, c, d], fields) = payload.split_first_chunk()?;
    Some(((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])), fields))
}

pub(super) fn read_deliver(fields: &[u8]) -> Option<Carrier<'_>> {
    let mut fields = Fields::new(fields);
    let _consumer_tag = fields.short()?;
    let (tag, redelivered) = (fields.u64()?, fields.u8()? & 1 == 1);
    Some(Carrier::Deliver { tag, redelivered, exchange: fields.short()?, routing_key: fields.short()? })
}

pub(super) fn read_return(fields: &[u8]) -> Option<Carrier<'_>> {
    let mut fields = Fields::new(fields);
    let (_code, _text) = (fields.u16()?, fields.short()?);
    Some(Carrier::Return { exchange: fields.short()?, routing_key: fields.short()? })
}

pub(super) fn read_confirm(nacked: bool, fields: &[u8]) -> Option<Confirm> {
    let mut fields = Fields::new(fields);
    Some(Confirm { number: fields.u64()?, multiple: fields.u8()? & 1 == 1, nacked })
}

/// Returns whether the broker expects an answer to its `basic.cancel`, and the consumer tag.
pub(super) fn read_cancel(fields: &[u8]) -> Option<(bool, &[u8])> {
    let mut fields = Fields::new(fields);
    let tag = fields.short()?;
    Some((fields.u8()? & 1 == 0, tag))
}

pub(super) fn read_close(fields: &[u8]) -> Option<Close> {
    let mut fields = Fields::new(fields);
    Some(Close {
        code: fields.u16()?,
        text: String::from_utf8_lossy(fields.short()?).into_owned(),
        cause: (fields.u16()?, fields.u16()?),
    })
}

pub(super) fn read_blocked(fields: &[u8]) -> Option<String> {
    Some(String::from_utf8_lossy(Fields::new(fields).short()?).into_owned())
}

pub(super) fn read_tune(fields: &[u8]) -> Option<Tune> {
    let mut fields = Fields::new(fields);
    Some(Tune { channel_max: fields.u16()?, frame_max: fields.u32()?, heartbeat: fields.u16()? })
}

/// Replaces the `frame_max` in a whole frame of `connection.tune` or `connection.tune-ok`.
pub(super) fn with_frame_max(frame: &[u8], frame_max: u32) -> Vec<u8> {
    /// Behind the frame's head, class, method and `channel_max`.
    const AT: usize = 7 + 4 + 2;
    let mut frame = frame.to_vec();
    frame[AT..AT + 4].copy_from_slice(&frame_max.to_be_bytes());
    frame
}

/// Returns a copy of a method whose short strings a strict reader takes: what is not UTF-8 becomes `?`, byte for byte. `None` if
/// nothing has to change.
///
/// Only methods that answer or end something come here; those that carry a message's own bytes are read above.
pub(super) fn readable(id: Id, payload: &[u8]) -> Option<Vec<u8>> {
    let at = 4 + match id {
        CONNECTION_CLOSE | CHANNEL_CLOSE => 2,
        CONNECTION_BLOCKED | QUEUE_DECLARE_OK | BASIC_CONSUME_OK | BASIC_CANCEL_OK => 0,
        _ => return None,
    };
    let text = Fields::new(payload.get(at..)?).short()?;
    if std::str::from_utf8(text).is_ok() {
        return None;
    }
    let mut readable = payload.to_vec();
    let mut to = at + 1;
    for chunk in text.utf8_chunks() {
        to += chunk.valid().len();
        let after = to + chunk.invalid().len();
        readable[to..after].fill(b'?');
        to = after;
    }
    Some(readable)
}

pub(super) fn write_cancel_ok(out: &mut Vec<u8>, tag: &[u8]) {
    write_id(out, BASIC_CANCEL_OK);
    write_short(out, tag);
}

/// `basic.publish`; the names must be at most 255 bytes long.
pub(crate) fn write_publish(out: &mut Vec<u8>, exchange: &[u8], routing_key: &[u8], mandatory: bool) {
    write_id(out, BASIC_PUBLISH);
    out.put_u16(0);
    write_short(out, exchange);
    write_short(out, routing_key);
    out.push(u8::from(mandatory));
}

pub(crate) fn write_ack(out: &mut Vec<u8>, tag: u64, multiple: bool) {
    write_id(out, BASIC_ACK);
    out.put_u64(tag);
    out.push(u8::from(multiple));
}

pub(crate) fn write_reject(out: &mut Vec<u8>, tag: u64, requeue: bool) {
    write_id(out, BASIC_REJECT);
    out.put_u64(tag);
    out.push(u8::from(requeue));
}

/// `basic.nack` with requeue, of one delivery.
pub(crate) fn write_nack(out: &mut Vec<u8>, tag: u64) {
    const REQUEUE: u8 = 2;
    write_id(out, BASIC_NACK);
    out.put_u64(tag);
    out.push(REQUEUE);
}

fn write_id(out: &mut Vec<u8>, (class, method): Id) {
    out.put_u16(class);
    out.put_u16(method);
}

fn write_short(out: &mut Vec<u8>, text: &[u8]) {
    out.push(u8::try_from(text.len()).expect("short strings are checked to be at most 255 bytes"));
    out.extend_from_slice(text);
}

// === impl Carrier ===

impl Carrier<'_> {
    /// Gathers a message whose body has a memory of its own.
    pub(super) fn gather(self, properties: &[u8], body: Bytes) -> Gathered {
        let [exchange, routing_key, properties] = keep(&[self.exchange(), self.routing_key(), properties]);
        self.with(Content { exchange, routing_key, properties, body })
    }

    /// Gathers a message in one piece of memory, its body included.
    pub(super) fn gather_whole(self, properties: &[u8], body: &[u8]) -> Gathered {
        let [exchange, routing_key, properties, body] =
            keep(&[self.exchange(), self.routing_key(), properties, body]);
        self.with(Content { exchange, routing_key, properties, body })
    }

    const fn exchange(&self) -> &[u8] {
        let (Self::Deliver { exchange, .. } | Self::Return { exchange, .. }) = self;
        exchange
    }

    const fn routing_key(&self) -> &[u8] {
        let (Self::Deliver { routing_key, .. } | Self::Return { routing_key, .. }) = self;
        routing_key
    }

    const fn with(self, content: Content) -> Gathered {
        match self {
            Self::Deliver { tag, redelivered, .. } => {
                Gathered::Delivered(Delivered { tag, redelivered, content })
            }
            Self::Return { .. } => Gathered::Returned(content),
        }
    }
}

/// Copies all parts into one piece of memory, which they share.
fn keep<const N: usize>(parts: &[&[u8]; N]) -> [Bytes; N] {
    let mut memory = Bytes::from(parts.concat());
    parts.map(|part| memory.split_to(part.len()))
}

/// A message that is complete.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Gathered {
    Delivered(Delivered),
    Returned(Content),
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn a_text_cut_within_a_character_is_made_readable_and_keeps_its_length() {
        let mut payload = vec![0, 20, 0, 40, 1, 148];
        write_short(&mut payload, b"no queue '\xc3");
        payload.extend_from_slice(&[0, 60, 0, 20]);
        let readable = readable(CHANNEL_CLOSE, &payload).expect("it is changed");
        assert_eq!(readable.len(), payload.len());
        assert_eq!(read_close(&readable[4..]).map(|close| close.text).as_deref(), Some("no queue '?"));
    }

    #[test]
    fn a_frame_max_is_replaced_where_it_stands() {
        let mut frame = Vec::new();
        super::super::frame::write(&mut frame, super::super::frame::METHOD, 0, |out| {
            write_id(out, CONNECTION_TUNE);
            out.put_u16(2047);
            out.put_u32(131_072);
            out.put_u16(60);
        });
        let patched = with_frame_max(&frame, 8192);
        let tune = read_tune(&patched[11..]);
        assert_eq!(tune, Some(Tune { channel_max: 2047, frame_max: 8192, heartbeat: 60 }));
    }

    proptest! {
        #[test]
        fn no_bytes_hurt_the_readers(fields in vec(any::<u8>(), 0..80)) {
            let _ = (read_deliver(&fields), read_return(&fields), read_confirm(true, &fields));
            let _ = (read_cancel(&fields), read_close(&fields), read_blocked(&fields), read_tune(&fields));
            for id in [CONNECTION_CLOSE, CHANNEL_CLOSE, CONNECTION_BLOCKED, QUEUE_DECLARE_OK] {
                let _ = readable(id, &fields);
            }
        }
    }
}
