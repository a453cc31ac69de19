//! Errors of storing an event.

use std::fmt;

use super::database::DatabaseError;

/// The maximum length of an idempotency key in characters, as in common HTTP APIs with an `Idempotency-Key` header.
pub const MAX_KEY_LENGTH: usize = 255;

/// The reason why an event was not stored. The log is unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum AppendError {
    /// The texts of the event are longer than one row can store.
    TooLarge {
        /// The total length of all texts, in bytes.
        bytes: usize,
        /// The maximum, in bytes: [`MAX_EVENT_BYTES`](crate::MAX_EVENT_BYTES).
        limit: usize,
    },
    /// The idempotency key is not 1–255 visible ASCII characters.
    InvalidKey,
    /// A statement or the transaction failed.
    Storage(DatabaseError),
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes, limit } => write!(f, "event must be at most {limit} bytes, got {bytes}"),
            Self::InvalidKey => {
                write!(f, "idempotency key must be 1–{MAX_KEY_LENGTH} visible ASCII characters")
            }
            Self::Storage(_) => f.write_str("the database failed to store the event"),
        }
    }
}

impl std::error::Error for AppendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::TooLarge { .. } | Self::InvalidKey => None,
        }
    }
}

impl From<DatabaseError> for AppendError {
    fn from(error: DatabaseError) -> Self {
        Self::Storage(error)
    }
}
