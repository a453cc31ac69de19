//! Why a token was not issued or not accepted.

use serde_json::error::Category;

use super::{
    InvalidChannelName,
    limits::{LIFETIME_S, MAX_ATTACHMENT_DEPTH, MAX_TAGS, SUBJECT_BYTES, TAG_BYTES},
};

/// Why a token was not issued, not accepted, or its attachment not read.
///
/// Clients are told only `Invalid Token`; the variants are for logs and tests. None of them holds the token or a key,
/// so an error can be logged as it is.
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
    /// The token is longer than the limit of 8 KiB. When issuing: make the attachment smaller.
    TooLong {
        /// The token's length in bytes.
        bytes: usize,
        /// The longest length in bytes that is accepted.
        limit: usize,
    },
    /// The text is no token: not three parts in canonical base64url, or a part that is not a JSON object.
    Malformed,
    /// The token's header names an algorithm other than HS256.
    UnsupportedAlgorithm,
    /// The token's header has `crit`, which asks for an extension; none is supported.
    UnsupportedExtension,
    /// None of the keys made this signature. After a change of keys: is the old one still among those that verify?
    WrongSignature,
    /// The token is authentic but lacks this claim.
    MissingClaim(&'static str),
    /// The token is authentic but this claim has the wrong type or a value out of range.
    InvalidClaim(&'static str),
    /// The token's `exp` has come.
    Expired,
    /// The token's `nbf` has not come yet.
    NotYetValid,
    /// The channel name is empty or longer than 512 bytes.
    Channel(InvalidChannelName),
    /// A procedure is not in the list of those that exist; holds its name. Only when issuing.
    UnknownProcedure(String),
    /// The lifetime is below one second or above 10^12 seconds, or the issuing time is beyond the times that are read. Only
    /// when issuing.
    InvalidLifetime,
    /// The token has more than ten tags.
    TooManyTags {
        /// How many tags the token has.
        count: usize,
    },
    /// A tag is empty or longer than 256 bytes.
    InvalidTag {
        /// The tag's length in UTF-8 bytes.
        bytes: usize,
    },
    /// Tags on a token of [`ClientKind::DurableEventIterator`](super::ClientKind::DurableEventIterator), which has none. Only when issuing.
    TagsNotSupported,
    /// The subject is empty or longer than 256 bytes.
    InvalidSubject {
        /// The subject's length in UTF-8 bytes.
        bytes: usize,
    },
    /// A text of this claim contains a lone surrogate (half of a character outside the basic multilingual plane), which no
    /// UTF-8 text can.
    LoneSurrogate(&'static str),
    /// The attachment cannot be written as JSON, or cannot be read as the type that was asked for.
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
            Self::Malformed => f.write_str("not a well-formed token"),
            Self::UnsupportedAlgorithm => f.write_str("the token's algorithm is not HS256"),
            Self::UnsupportedExtension => f.write_str("the token asks for an unsupported extension (`crit`)"),
            Self::WrongSignature => f.write_str("signature does not match any signing key"),
            Self::MissingClaim(claim) => write!(f, "the token lacks the claim `{claim}`"),
            Self::InvalidClaim(claim) => {
                write!(f, "the token's claim `{claim}` has a wrong type or value")
            }
            Self::Expired => f.write_str("the token has expired"),
            Self::NotYetValid => f.write_str("the token is not valid yet"),
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

/// A token's attachment cannot be written as JSON, or is not of the type that was asked for. It says where, and nothing of
/// what is there: attachments do not belong in logs.
///
/// ```
/// use durable_event_token::{SigningKeys, Token};
/// use std::time::SystemTime;
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// let token = Token::builder("some-room").attachment(&"anna@example.org").sign(&keys, SystemTime::now())?;
/// let error = keys.verify(&token, SystemTime::now())?.attachment::<u64>().unwrap_err();
/// assert_eq!(error.to_string(), "the token's attachment does not fit, at line 1, column 18");
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
        f.write_str("the token's attachment does not fit")?;
        match self.0.classify() {
            // Of a value of another type serde's own text tells the value.
            Category::Data => write!(f, ", at line {}, column {}", self.0.line(), self.0.column()),
            Category::Io | Category::Syntax | Category::Eof => write!(f, ": {}", self.0),
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
