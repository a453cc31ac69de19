//! The errors of reading a serialized value.

use std::fmt;

use super::MAX_DEPTH;

/// The error of parsing an invalid serialized value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeserializeError {
    /// The text is not JSON.
    Json {
        /// The reason.
        reason: &'static str,
        /// The byte offset in the text.
        at: usize,
    },
    /// The value is nested deeper than [`MAX_DEPTH`] levels.
    TooDeep,
    /// The text is not an object with the members `json` and `meta`.
    Envelope(String),
    /// `meta` or `maps` is not a list of paths.
    Meta(String),
    /// A path in `meta` or `maps` does not exist in the JSON.
    NoSuchPath,
    /// The JSON at a path is not a valid form of the type.
    WrongForm {
        /// The number of the type in `meta`.
        kind: u32,
    },
    /// A blob in `maps` is missing.
    NoSuchBlob {
        /// The number of the blob.
        number: usize,
    },
    /// The body is malformed or not supported, for this reason.
    Unreadable(&'static str),
}

impl fmt::Display for DeserializeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json { reason, at } => write!(f, "invalid JSON at byte {at}: {reason}"),
            Self::TooDeep => write!(f, "value must be nested at most {MAX_DEPTH} levels deep"),
            Self::Envelope(reason) => write!(f, "invalid serialized value: {reason}"),
            Self::Meta(reason) => write!(f, "`meta` or `maps` must be a list of paths: {reason}"),
            Self::NoSuchPath => f.write_str("a path in `meta` or `maps` does not exist in `json`"),
            Self::WrongForm { kind } => {
                write!(f, "`json` does not have the form of type {kind} at a path in `meta`")
            }
            Self::NoSuchBlob { number } => write!(f, "file {number} of `maps` is missing"),
            Self::Unreadable(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for DeserializeError {}
