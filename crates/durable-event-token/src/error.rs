//! The errors of issuing and verifying tokens.

use serde_json::error::Category;

use super::{
    InvalidChannelName,
    limits::{LIFETIME_S, MAX_ATTACHMENT_DEPTH, MAX_TAGS, SUBJECT_BYTES, TAG_BYTES},
};

/// The error of issuing or verifying a token, or of reading its attachment.
///
/// A Durable Object sends clients only `Invalid Token`; the variants are for logs and tests. They contain neither the token nor
/// a key, so the error can be logged.
///
/// ```
/// use durable_event_token::{SigningKeys, TokenError};
/// use std::time::SystemTime;
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// assert!(matches!(keys.verify("garbage", SystemTime::now()), Err(TokenError::Malformed)));
/// # Ok::<(), durable_event_token::InvalidKey>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenError {
    /// The token is longer than 8 KiB. When issuing, make the attachment smaller.
    TooLong {
        /// The token's length in bytes.
        bytes: usize,
        /// The maximum length in bytes.
        limit: usize,
    },
    /// The text is not a token in one of the two formats, or its header or payload is not a JSON object.
    Malformed,
    /// The token's header names an algorithm other than HS256.
    UnsupportedAlgorithm,
    /// The token's header has `crit`, which requires an extension. No extension is supported.
    UnsupportedExtension,
    /// The signature does not match any signing key. After a key rotation, check that the old key is a previous key.
    WrongSignature,
    /// The signature is valid, but this claim is missing.
    MissingClaim(&'static str),
    /// The signature is valid, but this claim has the wrong type or a value out of range.
    InvalidClaim(&'static str),
    /// The token has expired (`exp`).
    Expired,
    /// The token is not valid yet (`nbf`).
    NotYetValid,
    /// The channel name is empty or longer than 512 bytes.
    Channel(InvalidChannelName),
    /// The procedure of this name does not exist. Only when issuing.
    UnknownProcedure(String),
    /// The lifetime is not 1–10^12 seconds, or the time of issue is out of range. Only when issuing.
    InvalidLifetime,
    /// The token has more than ten tags.
    TooManyTags {
        /// The number of tags.
        count: usize,
    },
    /// A tag is empty or longer than 256 bytes.
    InvalidTag {
        /// The tag's length in UTF-8 bytes.
        bytes: usize,
    },
    /// Tokens for [`ClientKind::DurableEventIterator`](super::ClientKind::DurableEventIterator) cannot have tags. Only when
    /// issuing.
    TagsNotSupported,
    /// The subject is empty or longer than 256 bytes.
    InvalidSubject {
        /// The subject's length in UTF-8 bytes.
        bytes: usize,
    },
    /// A string of this claim contains a lone surrogate (half of a character outside the basic multilingual plane), which UTF-8
    /// cannot represent.
    LoneSurrogate(&'static str),
    /// The attachment cannot be serialized to JSON, or cannot be deserialized to the requested type.
    Attachment(InvalidAttachment),
    /// The attachment is nested deeper than 127 levels.
    AttachmentTooDeep,
}

impl std::fmt::Display for TokenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { bytes, limit } => {
                write!(f, "token must be at most {limit} bytes, got {bytes}; make its attachment smaller")
            }
            Self::Malformed => f.write_str("token is malformed"),
            Self::UnsupportedAlgorithm => f.write_str("token algorithm must be HS256"),
            Self::UnsupportedExtension => {
                f.write_str("token header must not contain `crit`: extensions are not supported")
            }
            Self::WrongSignature => f.write_str("signature does not match any signing key"),
            Self::MissingClaim(claim) => write!(f, "token claim `{claim}` is missing"),
            Self::InvalidClaim(claim) => write!(f, "token claim `{claim}` has the wrong type or value"),
            Self::Expired => f.write_str("token has expired"),
            Self::NotYetValid => f.write_str("token is not valid yet"),
            Self::Channel(error) => error.fmt(f),
            Self::UnknownProcedure(name) => write!(f, "procedure `{name}` does not exist"),
            Self::InvalidLifetime => {
                write!(f, "token lifetime must be {}–{} seconds", LIFETIME_S.start(), LIFETIME_S.end())
            }
            Self::TooManyTags { count } => {
                write!(f, "a token must have at most {MAX_TAGS} tags, got {count}")
            }
            Self::InvalidTag { bytes } => {
                write!(f, "each tag must be {}–{} bytes, got {bytes}", TAG_BYTES.start(), TAG_BYTES.end())
            }
            Self::TagsNotSupported => f.write_str("tokens of DurableEventIterator clients cannot have tags"),
            Self::InvalidSubject { bytes } => {
                write!(
                    f,
                    "subject must be {}–{} bytes, got {bytes}",
                    SUBJECT_BYTES.start(),
                    SUBJECT_BYTES.end()
                )
            }
            Self::LoneSurrogate(claim) => write!(f, "claim `{claim}` must not contain a lone surrogate"),
            Self::Attachment(error) => error.fmt(f),
            Self::AttachmentTooDeep => {
                write!(f, "attachment must be nested at most {MAX_ATTACHMENT_DEPTH} levels deep")
            }
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Channel(error) => Some(error),
            Self::Attachment(error) => Some(error),
            _ => None,
        }
    }
}

/// The error for an attachment that cannot be serialized to JSON, or cannot be deserialized to the requested type.
///
/// It states the position of the error, but never the attachment's content, which does not belong in logs.
///
/// ```
/// use durable_event_token::{SigningKeys, Token};
/// use std::time::SystemTime;
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// let token = Token::builder("some-room").attachment(&"anna@example.org").sign(&keys, SystemTime::now())?;
/// let error = keys.verify(&token, SystemTime::now())?.attachment::<u64>().unwrap_err();
/// assert_eq!(error.to_string(), "token attachment has an unexpected type at line 1, column 18");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InvalidAttachment(serde_json::Error);

impl From<serde_json::Error> for InvalidAttachment {
    fn from(error: serde_json::Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for InvalidAttachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.classify() {
            // serde's own text would quote the value.
            Category::Data => {
                let (line, column) = (self.0.line(), self.0.column());
                write!(f, "token attachment has an unexpected type at line {line}, column {column}")
            }
            Category::Io | Category::Syntax | Category::Eof => {
                write!(f, "token attachment is invalid: {}", self.0)
            }
        }
    }
}

impl std::fmt::Debug for InvalidAttachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "InvalidAttachment({self})")
    }
}

impl std::error::Error for InvalidAttachment {}

impl From<InvalidChannelName> for TokenError {
    fn from(error: InvalidChannelName) -> Self {
        Self::Channel(error)
    }
}
