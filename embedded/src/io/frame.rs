//! Finds frames in what was read: <https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>, 4.2.3.

use super::fault::Fault;
use crate::core::{AmqpError, ChannelId, erlang};

/// The smallest `frame_max`, which also holds until the client has answered `connection.tune`.
///
/// `rabbit_framing.hrl`, `FRAME_MIN_SIZE`: 8192 since RabbitMQ 4.1.
pub(crate) const FRAME_MIN_SIZE: u32 = 8192;
/// The bytes of a frame around its payload.
pub(crate) const EMPTY_FRAME_SIZE: u32 = 8;
/// The bytes in front of the payload.
pub(crate) const HEADER_SIZE: usize = 7;
/// The last byte of a frame.
pub(crate) const FRAME_END: u8 = 206;

/// The type of a frame that carries a method.
pub(crate) const METHOD: u8 = 1;
/// The type of a frame that carries a content header.
pub(crate) const HEADER: u8 = 2;
/// The type of a frame that carries a part of a body.
pub(crate) const BODY: u8 = 3;
/// The type of a heartbeat.
pub(crate) const HEARTBEAT: u8 = 8;

/// A frame whose payload is still in the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'b> {
    /// The type, known or not.
    pub(crate) kind: u8,
    /// The channel.
    pub(crate) channel: ChannelId,
    /// What is inside.
    pub(crate) payload: &'b [u8],
}

/// What a payload is: `rabbit_command_assembler.erl`, `analyze_frame`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'b> {
    /// A method with its class, number and fields.
    Method(u16, u16, &'b [u8]),
    /// A content header.
    Header {
        /// The class of the content.
        class: u16,
        /// Reserved; must be 0.
        weight: u16,
        /// How many bytes of body follow.
        body_size: u64,
        /// The properties, not parsed.
        properties: &'b [u8],
    },
    /// A part of a body.
    Body(&'b [u8]),
    /// A heartbeat.
    Heartbeat,
}

/// Reads the frame at the beginning of `buffer`; `None` if it is not complete.
///
/// `rabbit_reader.erl`, `handle_input`: clients may exceed the frame size by 8 bytes, because quite a few get it wrong.
pub(crate) fn read(buffer: &[u8], frame_max: u32) -> Result<Option<Frame<'_>>, Fault> {
    let Some((header, rest)) = buffer.split_first_chunk::<HEADER_SIZE>() else { return Ok(None) };
    let [kind, c0, c1, s0, s1, s2, s3] = *header;
    let channel = u16::from_be_bytes([c0, c1]);
    let size = u32::from_be_bytes([s0, s1, s2, s3]);
    if size > frame_max {
        let limit = frame_max - EMPTY_FRAME_SIZE;
        return Err(fatal(kind, &[], &format!("{{frame_too_large,{size},{limit}}}")));
    }
    let size = size as usize;
    let Some(end) = rest.get(size) else { return Ok(None) };
    let payload = &rest[..size];
    if *end != FRAME_END {
        return Err(fatal(kind, payload, &format!("{{invalid_frame_end_marker,{end}}}")));
    }
    Ok(Some(Frame { kind, channel, payload }))
}

fn fatal(kind: u8, payload: &[u8], error: &str) -> Fault {
    Fault::Deaf(AmqpError::frame_error(format!("{}: {error}", snippet(kind, payload))))
}

/// `rabbit_reader.erl`, `payload_snippet`.
fn snippet(kind: u8, payload: &[u8]) -> String {
    let (which, shown) = match payload.get(..16) {
        Some(first) if payload.len() > 16 => ("first 16", first),
        _ => ("all", payload),
    };
    format!("type {kind}, {which} octets = {}", erlang::binary(shown))
}

// === impl Frame ===

impl<'b> Frame<'b> {
    /// How many bytes it takes in the buffer.
    pub(crate) fn len(&self) -> usize {
        HEADER_SIZE + self.payload.len() + 1
    }

    /// Tells what the payload is; an error if it is nothing.
    pub(crate) fn part(&self) -> Result<Part<'b>, Fault> {
        let payload = self.payload;
        match self.kind {
            METHOD => {
                if let Some(([c0, c1, m0, m1], fields)) = payload.split_first_chunk() {
                    let (class, method) = (u16::from_be_bytes([*c0, *c1]), u16::from_be_bytes([*m0, *m1]));
                    return Ok(Part::Method(class, method, fields));
                }
            }
            HEADER => {
                if let Some(([c0, c1, w0, w1, size @ ..], properties)) = payload.split_first_chunk::<12>() {
                    return Ok(Part::Header {
                        class: u16::from_be_bytes([*c0, *c1]),
                        weight: u16::from_be_bytes([*w0, *w1]),
                        body_size: u64::from_be_bytes(*size),
                        properties,
                    });
                }
            }
            BODY => return Ok(Part::Body(payload)),
            HEARTBEAT if payload.is_empty() => return Ok(Part::Heartbeat),
            _ => {}
        }
        let text = format!("{}: unknown_frame", snippet(self.kind, payload));
        Err(Fault::close(AmqpError::frame_error(text)))
    }

    /// The frame does not belong here: `rabbit_reader.erl`, `unexpected_frame`.
    pub(crate) fn unexpected(&self) -> Fault {
        Fault::close(AmqpError::unexpected_frame(snippet(self.kind, self.payload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 1];
        bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        bytes.push(FRAME_END);
        bytes
    }

    fn text(fault: Fault) -> String {
        match fault {
            Fault::Close(error, (0, 0)) | Fault::Deaf(error) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_is_read_only_when_it_is_complete() {
        let bytes = frame(METHOD, b"\0\x14\0\x0a\0");
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length], 131_072), Ok(None));
        }
        let frame = read(&bytes, 131_072).unwrap().unwrap();
        assert_eq!((frame.channel, frame.len()), (1, bytes.len()));
        assert_eq!(frame.part(), Ok(Part::Method(20, 10, b"\0")));
    }

    #[test]
    fn the_size_is_refused_before_the_payload_arrives() {
        assert_eq!(read(b"\x03\0\x01\0\x02\0\0", 131_072), Ok(None));
        let fault = read(b"\x03\0\x01\0\x02\0\x01", 131_072).unwrap_err();
        assert_eq!(text(fault), "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,131073,131064}");
    }

    #[test]
    fn a_wrong_end_is_out_of_step() {
        let fault = read(b"\x01\0\x01\0\0\0\x04\0\x14\0\x0a\0", 131_072).unwrap_err();
        assert!(matches!(fault, Fault::Deaf(_)));
        assert_eq!(
            text(fault),
            "FRAME_ERROR - type 1, all octets = <<0,20,0,10>>: {invalid_frame_end_marker,0}"
        );
    }

    #[test]
    fn unknown_frames_are_named() {
        let part = |bytes: Vec<u8>| text(read(&bytes, 8192).unwrap().unwrap().part().unwrap_err());
        assert_eq!(part(frame(5, b"abc")), "FRAME_ERROR - type 5, all octets = <<\"abc\">>: unknown_frame");
        assert_eq!(
            part(frame(HEARTBEAT, b"a")),
            "FRAME_ERROR - type 8, all octets = <<\"a\">>: unknown_frame"
        );
        assert_eq!(part(frame(HEADER, b"a")), "FRAME_ERROR - type 2, all octets = <<\"a\">>: unknown_frame");
        let body = frame(BODY, &[b'a'; 20]);
        assert_eq!(
            text(read(&body, 8192).unwrap().unwrap().unexpected()),
            "UNEXPECTED_FRAME - type 3, first 16 octets = <<\"aaaaaaaaaaaaaaaa\">>"
        );
    }
}
