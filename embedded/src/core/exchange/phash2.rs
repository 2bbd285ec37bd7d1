//! Erlang's `phash2`, so that a key reaches the same queue as on RabbitMQ.
//!
//! `erts/emulator/beam/erl_term_hashing.c`, `make_hash2`; the mixing is Bob Jenkins's, <https://burtleburtle.net/bob/hash/evahash.html>.

/// The golden ratio. Each type of term has a multiple of it.
const SEED: u32 = 0x9E37_79B9;
const NIL: u32 = 2;
const FLOAT: u32 = 12;
const BINARY: u32 = 13;
/// `phash2/1` returns 27 bits.
const RANGE: u32 = 1 << 27;

/// The atom `undefined`, whose hash is one of its name.
pub(super) const UNDEFINED: u32 = 45_914_356;

/// The hash of the empty list.
pub(super) const NOTHING: u32 = 3_468_870_702 % RANGE;

/// Hashes a binary.
pub(super) fn binary(bytes: &[u8]) -> u32 {
    continue_binary(bytes, 0) % RANGE
}

/// Hashes a list of binaries.
pub(super) fn binaries<'b>(list: impl IntoIterator<Item = &'b [u8]>) -> u32 {
    let hash = list.into_iter().fold(0, |hash, bytes| continue_binary(bytes, hash));
    word(NIL, 0, NIL, hash) % RANGE
}

/// Hashes a float.
pub(super) fn float(number: f64) -> u32 {
    // There is one zero.
    let bits = if number == 0.0 { 0 } else { number.to_bits() };
    let [low, high] = [bits, bits >> 32].map(|half| u32::try_from(half & 0xFFFF_FFFF).unwrap_or_default());
    word(high, low, FLOAT, 0) % RANGE
}

/// Hashes a boolean: an atom, whose hash is one of its name.
pub(super) const fn boolean(flag: bool) -> u32 {
    if flag { 506_293 } else { 7_111_573 }
}

fn word(a: u32, b: u32, kind: u32, hash: u32) -> u32 {
    let seed = SEED.wrapping_mul(kind);
    mix(seed.wrapping_add(a), seed.wrapping_add(b), hash)[2]
}

fn continue_binary(bytes: &[u8], hash: u32) -> u32 {
    let [mut a, mut b] = [SEED; 2];
    let mut c = SEED.wrapping_mul(BINARY).wrapping_add(hash);
    if bytes.is_empty() {
        return c;
    }
    let (blocks, rest) = bytes.as_chunks::<12>();
    let add = |word: u32, bytes: &[u8]| {
        let bytes = bytes.iter().rev().fold(0, |number: u32, byte| (number << 8) | u32::from(*byte));
        word.wrapping_add(bytes)
    };
    for block in blocks {
        [a, b, c] = mix(add(a, &block[..4]), add(b, &block[4..8]), add(c, &block[8..]));
    }
    // The lowest byte of the last word is the length.
    let length = u32::try_from(bytes.len() & 0xFFFF_FFFF).unwrap_or_default();
    let mut last = [0; 13];
    for (index, byte) in rest.iter().enumerate() {
        last[if index < 8 { index } else { index + 1 }] = *byte;
    }
    mix(add(a, &last[..4]), add(b, &last[4..8]), add(c.wrapping_add(length), &last[8..12]))[2]
}

fn mix(mut a: u32, mut b: u32, mut c: u32) -> [u32; 3] {
    for [right, left, last] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ (c >> right);
        b = b.wrapping_sub(c).wrapping_sub(a) ^ (a << left);
        c = c.wrapping_sub(a).wrapping_sub(b) ^ (b >> last);
    }
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_erlang() {
        assert_eq!(binary(b""), 13_708_901);
        assert_eq!(binary(b"0"), 107_350_362);
        assert_eq!(binary(b"the quick brown fox jumps"), 115_502_981);
        assert_eq!(binaries([&b""[..]]), 38_220_213);
        assert_eq!(binaries([&b""[..], b"a"]), 57_000_483);
        assert_eq!(binaries([&b"0"[..]]), 20_939_704);
        assert_eq!(binaries([&b"hello"[..]]), 106_084_785);
        assert_eq!(binaries([&b"a"[..], b"bc"]), 20_875_735);
        assert_eq!(float(0.5), 55_691_757);
    }
}
