//! The connection id.

/// The id of a client's connection: 1–128 visible ASCII characters, chosen by the client and kept when it reconnects.
///
/// It identifies a connection among others, so that an event can be addressed to it. It does not prove who is connected; the
/// token does.
///
/// ```
/// use durable_event_token::ConnectionId;
///
/// let id: ConnectionId = "b7Qf0Zt2".parse()?;
/// assert_eq!(id.as_str(), "b7Qf0Zt2");
/// assert!("with space".parse::<ConnectionId>().is_err());
/// # Ok::<(), durable_event_token::InvalidConnectionId>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(String);

impl ConnectionId {
    /// The maximum length of an id in characters: several times the length of an unguessable id, and a small part of the 16 KiB
    /// of a socket's attachment.
    pub const MAX_LENGTH: usize = 128;

    /// Returns the id as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ConnectionId {
    type Error = InvalidConnectionId;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        let fits = (1..=Self::MAX_LENGTH).contains(&id.len());
        if fits && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(id))
        } else {
            Err(InvalidConnectionId(()))
        }
    }
}

impl TryFrom<&str> for ConnectionId {
    type Error = InvalidConnectionId;

    fn try_from(id: &str) -> Result<Self, Self::Error> {
        Self::try_from(id.to_owned())
    }
}

impl std::str::FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    fn from_str(id: &str) -> Result<Self, Self::Err> {
        Self::try_from(id)
    }
}

impl AsRef<str> for ConnectionId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error for a connection id that is not 1–128 visible ASCII characters.
///
/// ```
/// use durable_event_token::ConnectionId;
///
/// let error = ConnectionId::try_from("").unwrap_err();
/// assert_eq!(error.to_string(), "connection id must be 1–128 visible ASCII characters");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidConnectionId(());

impl std::fmt::Display for InvalidConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connection id must be 1–{} visible ASCII characters", ConnectionId::MAX_LENGTH)
    }
}

impl std::error::Error for InvalidConnectionId {}
