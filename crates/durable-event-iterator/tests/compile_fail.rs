//! What a user can get wrong, and what the compiler says to it.

#[test]
fn wrong_uses_are_told_what_is_wrong() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
