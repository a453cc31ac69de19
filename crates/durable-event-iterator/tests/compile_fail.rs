//! The compiler's messages for mistakes in the use of the API.

#[test]
fn mistakes_have_helpful_compiler_messages() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
