//! The errors of publishing.

use durable_event_wire::InvalidEventMeta;
use std::fmt;

/// An event cannot be published: it was not stored, and nobody received it.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// The event is larger than this limit. It was not read to its end.
    TooLargeToRead { limit: usize },
    /// The root of the event is neither an object nor an array: stock clients would lose their cursor.
    NotAnObject,
    /// The event cannot be serialized.
    NotSerializable(String),
    /// Clients could not read the event's meta.
    InvalidMeta(InvalidEventMeta),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLargeToRead { limit } => write!(f, "event must be at most {limit} bytes, got more"),
            Self::NotAnObject => f.write_str("event must be an object or an array"),
            Self::NotSerializable(reason) => write!(f, "event cannot be serialized: {reason}"),
            Self::InvalidMeta(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PublishError {}
