//! Frames as bytes (AMQP 0-9-1 section 4.2.3): kind, channel, length, payload, end mark.

use amq_protocol::{
    frame::{AMQPFrame, WriteContext, gen_frame},
    protocol::AMQPClass,
};

/// The kinds of frames.
pub(crate) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;
/// What ends every frame.
const END: u8 = 0xCE;
/// Kind, channel and length.
const HEAD: usize = 1 + 2 + 4;
/// How many bytes a frame has beyond its payload.
pub(crate) const OVERHEAD: usize = HEAD + 1;
/// The largest frame that is read: far beyond what brokers send, so that a wrong length does not fill the memory.
///
/// A content header has one frame whatever the connection's `frame_max` says: RabbitMQ does not split it, and its `x-death` grows.
pub(crate) const READ_MAX: usize = 64 << 20;

/// A frame in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) channel: u16,
    pub(super) payload: &'a [u8],
    /// The whole frame.
    pub(super) bytes: &'a [u8],
}

/// What stands at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Frame(Frame<'a>),
    /// The frame is not complete; it needs this many bytes in all, as far as is known.
    Incomplete(usize),
    /// No frame: the reason.
    Malformed(String),
}

/// Looks at the start of a buffer.
pub(super) fn next(bytes: &[u8]) -> Next<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Next::Incomplete(HEAD) };
    let [kind, channel @ .., a, b, c, d] = *head;
    let len = u32::from_be_bytes([a, b, c, d]) as usize;
    if len > READ_MAX {
        return Next::Malformed(format!("a frame is at most {READ_MAX} bytes long, but one claims {len}"));
    }
    let Some(&end) = rest.get(len) else { return Next::Incomplete(len + OVERHEAD) };
    if end != END {
        return Next::Malformed(format!("a frame ends with the byte {END:#x}, but one ends with {end:#x}"));
    }
    let channel = u16::from_be_bytes(channel);
    Next::Frame(Frame { kind, channel, payload: &rest[..len], bytes: &bytes[..len + OVERHEAD] })
}

/// Writes a frame whose payload is written by `payload`.
pub(crate) fn write(out: &mut Vec<u8>, kind: u8, channel: u16, payload: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    out.extend_from_slice(&channel.to_be_bytes());
    let at = out.len();
    out.extend_from_slice(&[0; 4]);
    payload(out);
    // A payload of more than 4 GiB could only be that of a content header, which is refused before it is sent.
    let len = u32::try_from(out.len() - at - 4).unwrap_or(u32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    out.push(END);
}

/// Writes a method frame.
pub(super) fn write_method(out: &mut Vec<u8>, channel: u16, method: AMQPClass) {
    let frame = AMQPFrame::Method(channel, method);
    let bytes = gen_frame(&frame)(WriteContext::from(std::mem::take(out)));
    // Writing to memory fails only for a table longer than 4 GiB.
    *out = bytes.expect("a method fits into memory").write;
}

/// Writes the frame of a content header; `properties` writes the property flags and the properties.
pub(crate) fn write_header(
    out: &mut Vec<u8>,
    channel: u16,
    body_len: usize,
    properties: impl FnOnce(&mut Vec<u8>),
) {
    write(out, HEADER, channel, |out| {
        out.extend_from_slice(&BASIC.to_be_bytes());
        // The weight is unused and zero.
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&(body_len as u64).to_be_bytes());
        properties(out);
    });
}

/// Writes a body in frames of at most `frame_max`.
pub(crate) fn write_body(out: &mut Vec<u8>, channel: u16, frame_max: usize, body: &[u8]) {
    for part in body.chunks(frame_max.saturating_sub(OVERHEAD).max(1)) {
        write(out, BODY, channel, |out| out.extend_from_slice(part));
    }
}

/// Puts the number of a channel into a frame that was written before.
pub(crate) fn set_channel(frame: &mut [u8], channel: u16) {
    frame[1..3].copy_from_slice(&channel.to_be_bytes());
}

/// The class `basic`, the only one with content.
pub(crate) const BASIC: u16 = 60;

/// The bytes of a heartbeat.
pub(super) const HEARTBEAT_FRAME: [u8; OVERHEAD] = [HEARTBEAT, 0, 0, 0, 0, 0, 0, END];

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_at_every_length_of_the_buffer(
            kind in any::<u8>(), channel in any::<u16>(), payload in vec(any::<u8>(), 0..300)
        ) {
            let mut bytes = Vec::new();
            write(&mut bytes, kind, channel, |out| out.extend_from_slice(&payload));
            for cut in 0..bytes.len() {
                prop_assert!(matches!(next(&bytes[..cut]), Next::Incomplete(needed) if needed > cut));
            }
            let frame = Frame { kind, channel, payload: &payload, bytes: &bytes };
            prop_assert_eq!(next(&bytes), Next::Frame(frame));
        }

        #[test]
        fn no_bytes_hurt_the_reader(bytes in vec(any::<u8>(), 0..64)) {
            let _ = next(&bytes);
        }
    }

    #[test]
    fn a_heartbeat_is_a_frame() {
        let frame = Frame { kind: HEARTBEAT, channel: 0, payload: &[], bytes: &HEARTBEAT_FRAME };
        assert_eq!(next(&HEARTBEAT_FRAME), Next::Frame(frame));
    }

    #[test]
    fn a_body_is_cut_to_frames_and_an_empty_one_has_none() {
        for (len, frames) in [(0, 2), (1, 3), (92, 3), (93, 4), (184, 4)] {
            let mut bytes = Vec::new();
            write(&mut bytes, METHOD, 1, |_| {});
            write_header(&mut bytes, 1, len, |out| out.extend_from_slice(&[0, 0]));
            write_body(&mut bytes, 1, 100, &vec![7; len]);
            let (mut rest, mut count) = (&bytes[..], 0);
            while let Next::Frame(frame) = next(rest) {
                assert!(frame.bytes.len() <= 100);
                rest = &rest[frame.bytes.len()..];
                count += 1;
            }
            assert_eq!((rest.len(), count), (0, frames), "a body of {len} bytes");
        }
    }
}
