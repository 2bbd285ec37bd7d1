//! Arbitrary sequences of methods on several connections, with the clock moving.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| garenne_embedded::fuzzing::methods(input));
