//! The errors of publishing.

use durable_event_wire::InvalidEventMeta;
use std::fmt;

/// The error of a rejected publish: the event was neither stored nor sent.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// The event is larger than this limit in bytes. It was not read to its end.
    TooLargeToRead { limit: usize },
    /// The event is neither an object nor an array. oRPC's clients would lose their cursor.
    NotAnObject,
    /// The event cannot be serialized.
    NotSerializable(String),
    /// The event's meta is invalid: clients could not read it.
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
