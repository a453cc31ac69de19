//! The two kinds of clients.

/// The kind of client that a token is for. One Durable Object serves both kinds, which it recognizes by the token's format.
///
/// ```
/// use durable_event_token::{ClientKind, SigningKeys, Token};
/// use std::time::SystemTime;
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// let token = Token::builder("some-room").for_clients(ClientKind::DurableIterator).tags(["staff"]).sign(&keys, SystemTime::now())?;
/// assert!(token.starts_with('{'));
/// assert_eq!(keys.verify(&token, SystemTime::now())?.client_kind(), ClientKind::DurableIterator);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// `DurableEventIterator` clients: oRPC 1.6–1.8, and the plugin of that name in the npm package. The token is a compact
    /// JWS.
    #[default]
    DurableEventIterator,
    /// `DurableIterator` clients: oRPC 1.9.1–1.16, and the plugin of that name in the npm package. The token is the payload's
    /// JSON, a dot and a signature. It can have tags, and clients refresh it on the open socket.
    DurableIterator,
}
