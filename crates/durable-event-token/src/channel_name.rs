//! The channel name.

/// The name of a channel and of its Durable Object: any text of 1–512 UTF-8 bytes.
///
/// ```
/// use durable_event_token::ChannelName;
///
/// let name: ChannelName = "some-room".parse()?;
/// assert_eq!(name.as_str(), "some-room");
/// assert!("".parse::<ChannelName>().is_err());
/// # Ok::<(), durable_event_token::InvalidChannelName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelName(String);

impl ChannelName {
    /// The maximum length of a name in UTF-8 bytes.
    ///
    /// The Workers runtime reports a Durable Object's name only up to 1,024 bytes, and the Durable Object compares it with the
    /// token's. Half of that leaves room for the other claims of a token.
    pub const MAX_BYTES: usize = 512;

    /// Returns the name as a string slice.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts the name into a `String`.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for ChannelName {
    type Error = InvalidChannelName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match name.len() {
            1..=Self::MAX_BYTES => Ok(Self(name)),
            bytes => Err(InvalidChannelName { bytes }),
        }
    }
}

impl TryFrom<&str> for ChannelName {
    type Error = InvalidChannelName;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        Self::try_from(name.to_owned())
    }
}

impl std::str::FromStr for ChannelName {
    type Err = InvalidChannelName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name)
    }
}

impl AsRef<str> for ChannelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ChannelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The error for a channel name that is empty or longer than 512 bytes.
///
/// ```
/// use durable_event_token::ChannelName;
///
/// let error = ChannelName::try_from("").unwrap_err();
/// assert_eq!(error.to_string(), "channel name must be 1–512 bytes, got 0");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidChannelName {
    bytes: usize,
}

impl std::fmt::Display for InvalidChannelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "channel name must be 1–{} bytes, got {}", ChannelName::MAX_BYTES, self.bytes)
    }
}

impl std::error::Error for InvalidChannelName {}

/// Allows passing a `ChannelName` where `impl TryInto<ChannelName>` is expected.
impl From<std::convert::Infallible> for InvalidChannelName {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_at_most_512_bytes() {
        assert!(ChannelName::try_from("x".repeat(512)).is_ok());
        let error = ChannelName::try_from("x".repeat(513)).unwrap_err();
        assert_eq!(error.to_string(), "channel name must be 1–512 bytes, got 513");
    }

    #[test]
    fn a_name_may_be_any_text() {
        for name in [" ", "räume/ñ?#%", "\0", "🦀"] {
            assert_eq!(ChannelName::try_from(name).unwrap().as_str(), name);
        }
    }
}
