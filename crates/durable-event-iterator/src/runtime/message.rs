//! A message on a WebSocket.

/// A message on a WebSocket, in either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message, which contains no blobs.
    Text(String),
    /// A binary message, which may contain blobs.
    Bytes(Vec<u8>),
}

/// The messages of an event.
pub(crate) struct EventMessages {
    /// The tail of the message for clients.
    pub(crate) tail: String,
    /// The whole message for publishers' subscribers, if the class serves them.
    pub(crate) for_publishers: Option<String>,
}
