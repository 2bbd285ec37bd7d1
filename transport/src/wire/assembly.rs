//! Puts messages together from the frames of one channel.

use bytes::{Bytes, BytesMut};

use super::{
    frame::{self, BASIC, BODY, Frame, HEADER, Next},
    method::{Carrier, Gathered},
};

/// The most that is reserved for a body before it has arrived: 1 MiB.
const RESERVED_MAX: u64 = 1 << 20;
/// The largest body: 512 MiB, RabbitMQ's own limit (`rabbit.hrl`, `MAX_MSG_SIZE`).
const BODY_MAX: u64 = 512 << 20;
/// Class, weight and body size in front of the property flags (AMQP 0-9-1 section 4.2.6.1).
const FIXED: usize = 2 + 2 + 8;

/// A message of which a part has come.
#[derive(Debug)]
pub(super) enum Assembly {
    /// The method, copied because the reader's buffer moves on.
    Method(Head),
    /// The method, the properties, and the body so far.
    Body { head: Head, properties: Bytes, body: BytesMut, missing: u64 },
}

/// The method that began a message.
#[derive(Debug)]
pub(super) struct Head {
    fields: Bytes,
    read: fn(&[u8]) -> Option<Carrier<'_>>,
}

/// Gathers a message of which all frames are here, the usual case: nothing is kept between frames, and everything is copied at once.
/// Returns how many bytes its content takes as well.
///
/// `None` if something is missing or odd: [`Assembly`] finds out what.
pub(super) fn whole(carrier: Carrier<'_>, channel: u16, rest: &[u8]) -> Option<(Gathered, usize)> {
    let content = |at: usize, kind: u8| match frame::next(rest.get(at..)?) {
        Next::Frame(frame) if (frame.kind, frame.channel) == (kind, channel) => Some(frame),
        _ => None,
    };
    let header = content(0, HEADER)?;
    let Ok((size, properties)) = split(header.payload) else { return None };
    let mut taken = header.bytes.len();
    let mut body: &[u8] = &[];
    if size > 0 {
        let frame = content(taken, BODY)?;
        body = frame.payload;
        taken += frame.bytes.len();
    }
    (body.len() as u64 == size).then(|| (carrier.gather_whole(properties, body), taken))
}

/// What a frame did.
#[derive(Debug)]
pub(super) enum Step {
    More(Assembly),
    Complete(Gathered),
    Malformed(&'static str),
}

// === impl Head ===

impl Head {
    /// Keeps the fields of a method that `read` can read.
    pub(super) fn new(fields: &[u8], read: fn(&[u8]) -> Option<Carrier<'_>>) -> Self {
        Self { fields: Bytes::copy_from_slice(fields), read }
    }

    fn gather(&self, properties: &[u8], body: Bytes) -> Step {
        match (self.read)(&self.fields) {
            Some(carrier) => Step::Complete(carrier.gather(properties, body)),
            None => Step::Malformed("a method with content is malformed"),
        }
    }
}

// === impl Assembly ===

impl Assembly {
    /// Takes the next frame of the channel.
    pub(super) fn next(self, frame: Frame<'_>) -> Step {
        match (self, frame.kind) {
            (Self::Method(head), HEADER) => begin(head, frame.payload),
            (Self::Body { head, properties, mut body, missing }, BODY) => {
                let Some(missing) = missing.checked_sub(frame.payload.len() as u64) else {
                    return Step::Malformed("a body is longer than its content header says");
                };
                if missing == 0 && body.is_empty() {
                    return head.gather(&properties, Bytes::copy_from_slice(frame.payload));
                }
                body.extend_from_slice(frame.payload);
                if missing == 0 {
                    return head.gather(&properties, body.freeze());
                }
                Step::More(Self::Body { head, properties, body, missing })
            }
            (Self::Method(_), _) => Step::Malformed("a method with content is followed by no content header"),
            (Self::Body { .. }, _) => Step::Malformed("a body is interrupted by another frame"),
        }
    }
}

/// Splits a content header into the size of the body and the properties.
fn split(payload: &[u8]) -> Result<(u64, &[u8]), &'static str> {
    let Some((fixed, properties)) = payload.split_first_chunk::<FIXED>() else {
        return Err("a content header is too short");
    };
    let [class @ .., _, _, a, b, c, d, e, f, g, h] = *fixed;
    if u16::from_be_bytes(class) != BASIC {
        return Err("a content header is not of the class `basic`");
    }
    let size = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    if size > BODY_MAX {
        return Err("a body is longer than 512 MiB, the most that RabbitMQ takes");
    }
    Ok((size, properties))
}

fn begin(head: Head, payload: &[u8]) -> Step {
    let (size, properties) = match split(payload) {
        Ok(content) => content,
        Err(reason) => return Step::Malformed(reason),
    };
    if size == 0 {
        return head.gather(properties, Bytes::new());
    }
    let properties = Bytes::copy_from_slice(properties);
    // What fits one frame needs no room of its own: it is copied once, when it is here.
    let reserved = if size > RESERVED_MAX { RESERVED_MAX } else { 0 };
    let body = BytesMut::with_capacity(usize::try_from(reserved).unwrap_or(0));
    Step::More(Assembly::Body { head, properties, body, missing: size })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::{
        super::{frame, method},
        *,
    };

    fn delivery(properties: &[u8], body: &[u8], frame_max: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::write(&mut bytes, frame::METHOD, 1, |out| {
            out.extend_from_slice(b"\0\x3c\0\x3c\x01t\0\0\0\0\0\0\0\x07\x01\x01x\x02\xffk");
        });
        frame::write_header(&mut bytes, 1, body.len(), |out| out.extend_from_slice(properties));
        frame::write_body(&mut bytes, 1, frame_max, body);
        bytes
    }

    /// Writes a delivery and reads it again, whatever the size of the frames.
    fn round_trip(properties: &[u8], body: &[u8], frame_max: usize) -> Gathered {
        let bytes = delivery(properties, body, frame_max);
        let mut rest = &bytes[..];
        let mut assembly = None;
        while let frame::Next::Frame(frame) = frame::next(rest) {
            rest = &rest[frame.bytes.len()..];
            assembly = match assembly {
                None => {
                    let (id, fields) = method::split(frame.payload).expect("a method");
                    assert_eq!(id, method::BASIC_DELIVER);
                    Some(Assembly::Method(Head::new(fields, method::read_deliver)))
                }
                Some(assembly) => match Assembly::next(assembly, frame) {
                    Step::More(assembly) => Some(assembly),
                    Step::Complete(gathered) => return gathered,
                    Step::Malformed(reason) => panic!("{reason}"),
                },
            };
        }
        panic!("the message is not complete");
    }

    /// Writes a delivery and gathers it at once, if it can be.
    fn at_once(properties: &[u8], body: &[u8], frame_max: usize, missing: usize) -> Option<(Gathered, bool)> {
        let mut bytes = delivery(properties, body, frame_max);
        bytes.truncate(bytes.len() - missing);
        let frame::Next::Frame(frame) = frame::next(&bytes) else { return None };
        let (_, fields) = method::split(frame.payload)?;
        let rest = &bytes[frame.bytes.len()..];
        let (gathered, taken) = whole(method::read_deliver(fields)?, 1, rest)?;
        Some((gathered, taken == rest.len()))
    }

    proptest! {
        #[test]
        fn a_message_that_is_all_here_is_the_same_as_one_that_comes_in_frames(
            properties in vec(any::<u8>(), 2..60), body in vec(any::<u8>(), 0..300), missing in 1_usize..20
        ) {
            let expected = round_trip(&properties, &body, 4096);
            prop_assert_eq!(at_once(&properties, &body, 4096, 0), Some((expected, true)));
            prop_assert_eq!(at_once(&properties, &body, 4096, missing), None);
            if body.len() > 92 {
                prop_assert_eq!(at_once(&properties, &body, 100, 0), None);
            }
        }

        #[test]
        fn no_bytes_hurt_what_gathers_at_once(bytes in vec(any::<u8>(), 0..80)) {
            let carrier = Carrier::Return { exchange: b"x", routing_key: b"k" };
            let mut content = Vec::new();
            frame::write(&mut content, HEADER, 1, |out| out.extend_from_slice(&bytes));
            let _ = (whole(carrier, 1, &bytes), whole(carrier, 1, &content));
        }

        #[test]
        fn a_message_comes_back_byte_for_byte(
            properties in vec(any::<u8>(), 2..60), body in vec(any::<u8>(), 0..300), frame_max in 9_usize..200
        ) {
            let Gathered::Delivered(delivered) = round_trip(&properties, &body, frame_max) else {
                return Err(TestCaseError::fail("not a delivery"));
            };
            prop_assert_eq!((delivered.tag, delivered.redelivered), (7, true));
            prop_assert_eq!(&delivered.content.exchange[..], b"x");
            prop_assert_eq!(&delivered.content.routing_key[..], b"\xffk");
            prop_assert_eq!(&delivered.content.properties[..], &properties[..]);
            prop_assert_eq!(&delivered.content.body[..], &body[..]);
        }
    }
}
