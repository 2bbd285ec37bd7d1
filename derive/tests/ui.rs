//! What the compiler says about a wrong `#[derive(Message)]`.
//!
//! It stands here and not in `garenne`: trybuild builds what its package depends on once more, and this one depends on little.

#[test]
fn a_wrong_derive_says_what_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
