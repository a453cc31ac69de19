//! Why an event was not published.

use std::fmt;

use super::database::DatabaseError;
use super::once::MAX_KEY_LENGTH;
use crate::wire::InvalidEventMeta;

/// Why an event was not published. Whatever it says, nothing was stored and nobody saw the event.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// The event's texts together exceed what one row can hold. Send less, or a reference to what is large.
    TooLarge { bytes: usize, limit: usize },
    /// The same of an event that was not read to its end.
    TooLargeToRead { limit: usize },
    /// The event's root is neither an object nor an array: stock clients would lose their place in the stream.
    NotAnObject,
    /// The event cannot be written in the wire's format; the text says why.
    NotSerializable(String),
    /// The event's meta is nothing that clients could read.
    InvalidMeta(InvalidEventMeta),
    /// The idempotency key is empty, too long, or has other characters than visible ASCII.
    InvalidKey,
    /// The database refused.
    Storage(DatabaseError),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => {
                write!(f, "the event has {bytes} bytes, at most {limit} can be stored")
            }
            Self::TooLargeToRead { limit } => {
                write!(f, "the event has more than {limit} bytes, at most {limit} can be stored")
            }
            Self::NotAnObject => f.write_str("the event is neither an object nor an array"),
            Self::NotSerializable(reason) => write!(f, "the event cannot be serialized: {reason}"),
            Self::InvalidMeta(error) => error.fmt(f),
            Self::InvalidKey => {
                write!(f, "an idempotency key has 1 to {MAX_KEY_LENGTH} visible ASCII characters")
            }
            Self::Storage(_) => f.write_str("the event could not be stored"),
        }
    }
}

impl std::error::Error for PublishError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::TooLarge { .. }
            | Self::TooLargeToRead { .. }
            | Self::NotAnObject
            | Self::NotSerializable(_)
            | Self::InvalidMeta(_)
            | Self::InvalidKey => None,
        }
    }
}

impl From<DatabaseError> for PublishError {
    fn from(error: DatabaseError) -> Self {
        Self::Storage(error)
    }
}
