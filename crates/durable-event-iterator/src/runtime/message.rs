//! A message on a WebSocket.

/// A message on a WebSocket, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message: a frame without blobs.
    Text(String),
    /// A binary message: a frame that may have some.
    Bytes(Vec<u8>),
}
