//! Puts commands together from the frames of a channel: `rabbit_command_assembler.erl`.

use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic::AMQPMethod;
use bytes::Bytes;

use super::fault::{Fault, MethodId};
use super::frame::Part;
use super::method::{Read, read_method, read_properties};
use crate::core::properties::Properties;
use crate::core::{AmqpError, PublishMethod};

/// The largest body that the protocol takes: 512 MiB. What a publish may carry is less and checked with the publish.
///
/// `rabbit.hrl`, `MAX_MSG_SIZE`.
const MAX_BODY_SIZE: u64 = 512 << 20;
/// The most that is reserved for a body before it has arrived.
const MAX_RESERVED: u64 = 128 << 10;

/// A command with everything that belongs to it.
#[derive(Debug, PartialEq)]
pub(crate) enum Complete {
    /// A method without content.
    Method(MethodId, AMQPClass),
    /// A publish.
    Publish(PublishMethod, Properties, Bytes),
    /// A content that only brokers send.
    Unimplemented(MethodId),
}

/// What a channel waits for.
#[derive(Debug, Default)]
pub(crate) enum Assembly {
    /// The next method.
    #[default]
    Method,
    /// The content header of a method.
    Header(Carrier),
    /// The rest of a body.
    Body {
        /// The method.
        carrier: Carrier,
        /// The properties, read already; what is wrong with them comes out when the body is complete.
        properties: Result<Properties, Fault>,
        /// How many bytes are to come.
        remaining: u64,
        /// What has come.
        body: Vec<u8>,
    },
}

/// A method that carries content.
#[derive(Debug)]
pub(crate) enum Carrier {
    /// The one that clients send.
    Publish(PublishMethod),
    /// `basic.return`, `basic.deliver` or `basic.get-ok`.
    Other(MethodId),
}

// === impl Assembly ===

impl Assembly {
    /// Takes the next part; returns a command when it is complete.
    pub(crate) fn next(&mut self, part: Part<'_>) -> Result<Option<Complete>, Fault> {
        match (std::mem::take(self), part) {
            (Self::Method, Part::Method(class, method, fields)) => {
                let parsed = read_method(class, method, fields)?;
                *self = match parsed {
                    Read::Publish(publish) => Self::Header(Carrier::Publish(publish)),
                    Read::Other(AMQPClass::Basic(
                        AMQPMethod::Return(_) | AMQPMethod::Deliver(_) | AMQPMethod::GetOk(_),
                    )) => Self::Header(Carrier::Other((class, method))),
                    Read::Other(other) => return Ok(Some(Complete::Method((class, method), other))),
                };
                Ok(None)
            }
            (Self::Method, _) => Err(Fault::close(AmqpError::unexpected_frame(
                "expected method frame, got non method frame instead",
            ))),
            (Self::Header(carrier), Part::Header { class, weight: 0, body_size, properties }) => {
                self.header(carrier, class, body_size, properties)
            }
            (Self::Header(carrier), _) => Err(unexpected(
                &carrier,
                "expected content header for class 60, got non content header frame instead",
            )),
            (Self::Body { carrier, properties, remaining, body }, Part::Body(fragment)) => {
                self.body(carrier, properties, remaining, body, fragment)
            }
            (Self::Body { carrier, .. }, _) => {
                Err(unexpected(&carrier, "expected content body, got non content body frame instead"))
            }
        }
    }

    fn header(
        &mut self,
        carrier: Carrier,
        class: u16,
        body_size: u64,
        properties: &[u8],
    ) -> Result<Option<Complete>, Fault> {
        if class != BASIC {
            let text = format!("expected content header for class 60, got one for class {class} instead");
            return Err(unexpected(&carrier, &text));
        }
        if body_size > MAX_BODY_SIZE {
            let text = format!("content body size {body_size} exceeds maximum allowed size {MAX_BODY_SIZE}");
            return Err(Fault::Close(AmqpError::frame_error(text), carrier.id()));
        }
        let properties = read_properties(properties);
        if body_size == 0 {
            return carrier.complete(properties, Bytes::new()).map(Some);
        }
        *self = Self::Body { carrier, properties, remaining: body_size, body: Vec::new() };
        Ok(None)
    }

    fn body(
        &mut self,
        carrier: Carrier,
        properties: Result<Properties, Fault>,
        remaining: u64,
        mut body: Vec<u8>,
        fragment: &[u8],
    ) -> Result<Option<Complete>, Fault> {
        let Some(left) = remaining.checked_sub(fragment.len() as u64) else {
            let error = AmqpError::frame_error("content body frame exceeds remaining content size");
            return Err(Fault::Close(error, carrier.id()));
        };
        if left == 0 && body.is_empty() {
            return carrier.complete(properties, Bytes::copy_from_slice(fragment)).map(Some);
        }
        if body.is_empty() {
            body.reserve(usize::try_from(remaining.min(MAX_RESERVED)).unwrap_or(0));
        }
        body.extend_from_slice(fragment);
        if left == 0 {
            return carrier.complete(properties, body.into()).map(Some);
        }
        *self = Self::Body { carrier, properties, remaining: left, body };
        Ok(None)
    }
}

/// The class `basic`, the only one with content.
const BASIC: u16 = 60;

fn unexpected(carrier: &Carrier, text: &str) -> Fault {
    Fault::Close(AmqpError::unexpected_frame(text), carrier.id())
}

// === impl Carrier ===

impl Carrier {
    fn id(&self) -> MethodId {
        match self {
            Self::Publish(_) => (BASIC, 40),
            Self::Other(id) => *id,
        }
    }

    fn complete(self, properties: Result<Properties, Fault>, body: Bytes) -> Result<Complete, Fault> {
        match self {
            Self::Publish(publish) => Ok(Complete::Publish(publish, properties?, body)),
            Self::Other(id) => Ok(Complete::Unimplemented(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLISH: Part<'static> = Part::Method(60, 40, b"\0\0\x01x\x03key\x01");

    fn header(body_size: u64) -> Part<'static> {
        Part::Header { class: 60, weight: 0, body_size, properties: b"\0\0" }
    }

    #[track_caller]
    fn check(parts: &[Part<'_>], text: &str, id: MethodId) {
        let mut assembly = Assembly::default();
        let (last, first) = parts.split_last().unwrap();
        for part in first {
            assert_eq!(assembly.next(*part), Ok(None));
        }
        let Err(Fault::Close(error, method)) = assembly.next(*last) else { panic!("no error") };
        assert_eq!((error.to_string().as_str(), method), (text, id));
    }

    #[test]
    fn a_body_comes_in_any_number_of_frames() {
        for parts in [&[b"abc".as_slice()][..], &[b"a", b"bc"], &[b"", b"ab", b"", b"c"]] {
            let mut assembly = Assembly::default();
            for _ in 0..2 {
                assert_eq!(assembly.next(PUBLISH), Ok(None));
                assert_eq!(assembly.next(header(3)), Ok(None));
                let mut complete = None;
                for part in parts {
                    assert_eq!(complete, None);
                    complete = assembly.next(Part::Body(part)).unwrap();
                }
                let Some(Complete::Publish(publish, _, body)) = complete else { panic!("{complete:?}") };
                assert_eq!((&*publish.exchange, &*publish.routing_key), (&b"x"[..], &b"key"[..]));
                assert!(publish.mandatory && !publish.immediate);
                assert_eq!(body, b"abc".as_slice());
            }
        }
    }

    #[test]
    fn an_empty_body_needs_no_frame() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.next(PUBLISH), Ok(None));
        assert!(
            matches!(assembly.next(header(0)), Ok(Some(Complete::Publish(_, _, body))) if body.is_empty())
        );
    }

    #[test]
    fn an_announced_size_reserves_next_to_nothing() {
        let mut assembly = Assembly::default();
        assert_eq!(assembly.next(PUBLISH), Ok(None));
        assert_eq!(assembly.next(header(MAX_BODY_SIZE)), Ok(None));
        assert_eq!(assembly.next(Part::Body(b"a")), Ok(None));
        let Assembly::Body { body, .. } = assembly else { panic!("{assembly:?}") };
        assert!(body.capacity() <= 256 << 10);
    }

    #[test]
    fn frames_out_of_order_are_unexpected() {
        let text = "UNEXPECTED_FRAME - expected method frame, got non method frame instead";
        check(&[header(1)], text, (0, 0));
        check(&[Part::Body(b"a")], text, (0, 0));
        let text =
            "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead";
        check(&[PUBLISH, PUBLISH], text, (60, 40));
        check(&[PUBLISH, Part::Body(b"a")], text, (60, 40));
        let weight = Part::Header { class: 60, weight: 1, body_size: 0, properties: b"\0\0" };
        check(&[PUBLISH, weight], text, (60, 40));
        let text = "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead";
        let class = Part::Header { class: 50, weight: 0, body_size: 0, properties: b"\0\0" };
        check(&[PUBLISH, class], text, (60, 40));
        let text = "UNEXPECTED_FRAME - expected content body, got non content body frame instead";
        check(&[PUBLISH, header(2), PUBLISH], text, (60, 40));
    }

    #[test]
    fn bodies_keep_to_their_size() {
        let text = "FRAME_ERROR - content body frame exceeds remaining content size";
        check(&[PUBLISH, header(2), Part::Body(b"abc")], text, (60, 40));
        let text =
            "FRAME_ERROR - content body size 1152921504606846976 exceeds maximum allowed size 536870912";
        check(&[PUBLISH, header(1 << 60)], text, (60, 40));
    }

    #[test]
    fn broken_properties_come_out_when_the_content_is_complete() {
        let broken = Part::Header { class: 60, weight: 0, body_size: 1, properties: b"\x80\0" };
        check(&[PUBLISH, broken, Part::Body(b"a")], "INTERNAL_ERROR - ", (0, 0));
    }

    #[test]
    fn methods_that_do_not_exist_end_the_connection_silently() {
        assert_eq!(Assembly::default().next(Part::Method(60, 99, b"")), Err(Fault::Drop));
    }
}
