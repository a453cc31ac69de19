//! A message on a WebSocket.

/// A message on a WebSocket, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message, which contains no blobs.
    Text(String),
    /// A binary message, which may contain blobs.
    Bytes(Vec<u8>),
}
