//! Which clients a token is for.

/// Which generation of oRPC's clients a token is for. An object serves both at once; a token's form tells them apart.
///
/// ```
/// use durable_event_iterator::{Generation, SigningKeys, Token};
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// let token = Token::builder("some-room").generation(Generation::Two).tags(["staff"]).sign(&keys, 0)?;
/// assert!(token.starts_with('{'));
/// assert_eq!(keys.verify(&token, 0)?.generation(), Generation::Two);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Generation {
    /// "Durable event iterator", oRPC 1.6 to 1.8, and this project's own package. The token is a compact JWS.
    #[default]
    One,
    /// "Durable iterator", oRPC 1.9.1 to 1.16. The token is its payload's JSON, a dot, and a signature; it may have tags,
    /// and can be renewed on the open socket.
    Two,
}
