//! Hostile bytes, before and after the handshake, in pieces of any size.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| garenne_embedded::fuzzing::frames(input));
