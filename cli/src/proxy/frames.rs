//! Where the frames of one direction begin and end.

use super::Direction;

/// The type of a heartbeat, the first byte of its frame.
const HEARTBEAT: u8 = 8;
/// What a frame begins with: type, channel and length.
const HEAD_BYTES: usize = 7;
/// What a client sends before its first frame.
const PROTOCOL_HEADER_BYTES: u64 = 8;

/// Follows the bytes of one direction from the first on.
#[derive(Debug)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    /// How much of the head is there.
    have: usize,
    /// How much of a frame is still to come after its head, or of the protocol header.
    left: u64,
    /// Whether the frame that has begun passes: decided at its first byte, because half a frame is worse than none.
    passes: Option<bool>,
}

// === impl Frames ===

impl Frames {
    pub(super) const fn new(direction: Direction) -> Self {
        let left = match direction {
            Direction::ToBroker => PROTOCOL_HEADER_BYTES,
            Direction::ToClient => 0,
        };
        Self { head: [0; HEAD_BYTES], have: 0, left, passes: None }
    }

    /// Appends to `passing` what passes of these bytes: all, or what belongs to heartbeats and to frames that have begun before.
    pub(super) fn pass(&mut self, mut bytes: &[u8], only_heartbeats: bool, passing: &mut Vec<u8>) {
        while let [first, ..] = bytes {
            let is_heartbeat = self.left == 0 && *first == HEARTBEAT;
            let passes = *self.passes.get_or_insert(!only_heartbeats || is_heartbeat);
            let length = if self.left > 0 {
                bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX))
            } else {
                bytes.len().min(HEAD_BYTES - self.have)
            };
            let (part, rest) = bytes.split_at(length);
            self.follow(part);
            if passes {
                passing.extend_from_slice(part);
            }
            bytes = rest;
        }
    }

    fn follow(&mut self, part: &[u8]) {
        if self.left > 0 {
            self.left -= part.len() as u64;
            if self.left == 0 {
                self.passes = None;
            }
            return;
        }
        self.head[self.have..][..part.len()].copy_from_slice(part);
        self.have += part.len();
        if self.have == HEAD_BYTES {
            let [.., a, b, c, d] = self.head;
            // The payload, and the octet that ends a frame.
            self.left = u64::from(u32::from_be_bytes([a, b, c, d])) + 1;
            self.have = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";
    const METHOD: &[u8] = b"\x01\x00\x01\x00\x00\x00\x04abcd\xce";
    const BEAT: &[u8] = b"\x08\x00\x00\x00\x00\x00\x00\xce";

    /// What passes of a stream that is cut into pieces of this length; from `frozen` on, only heartbeats.
    fn passed(stream: &[u8], piece: usize, frozen: usize) -> Vec<u8> {
        let (mut frames, mut passing) = (Frames::new(Direction::ToBroker), Vec::new());
        let (before, after) = stream.split_at(frozen);
        before.chunks(piece).for_each(|bytes| frames.pass(bytes, false, &mut passing));
        after.chunks(piece).for_each(|bytes| frames.pass(bytes, true, &mut passing));
        passing
    }

    #[test]
    fn only_heartbeats_and_the_frame_that_has_begun_pass() {
        let stream = [HEADER, METHOD, BEAT, METHOD, METHOD, BEAT].concat();
        let wanted = [HEADER, METHOD, BEAT, METHOD, BEAT].concat();
        let middle_of_second = HEADER.len() + METHOD.len() + BEAT.len() + 3;
        for piece in 1..stream.len() {
            assert_eq!(passed(&stream, piece, middle_of_second), wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_stream_that_is_not_frozen_passes_whole() {
        let stream = [HEADER, METHOD, METHOD, BEAT].concat();
        assert_eq!(passed(&stream, 5, stream.len()), stream);
    }

    #[test]
    fn a_frozen_login_passes_nothing() {
        assert_eq!(passed(&[HEADER, METHOD, BEAT].concat(), 100, 0), BEAT);
    }
}
