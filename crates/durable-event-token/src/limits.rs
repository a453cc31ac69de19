//! The limits of what a token says, checked where a token is issued and where it is verified.
//!
//! `npm/durable-event-iterator/src/token/limits.ts` holds the same numbers and reasons for issuers in TypeScript. `tests/token/limits.json` is the
//! table that both are tested against, `tests/token/corpus.json` the tokens that both and a real Durable Object must agree on.

use std::ops::RangeInclusive;

use super::TokenError;

/// Longest token in bytes that is issued or read. Tokens travel in a URL, and common servers and proxies reject request
/// lines beyond 8 KiB.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Most tags of a token: the Workers runtime accepts ten per socket.
pub const MAX_TAGS: usize = 10;

/// Length of a tag in UTF-8 bytes. The Workers runtime accepts no longer one; an empty one would match nothing on purpose.
pub const TAG_BYTES: RangeInclusive<usize> = 1..=256;

/// Length of a subject in UTF-8 bytes: as long as a tag, since a subject often becomes one.
pub const SUBJECT_BYTES: RangeInclusive<usize> = 1..=256;

/// Deepest nesting of an attachment: what serde_json reads within its recursion limit of 128.
pub const MAX_ATTACHMENT_DEPTH: usize = 127;

/// Lifetime of an issued token in seconds. The upper end (31,700 years) keeps `exp` far below 2^53, up to which a JavaScript
/// number represents every second.
pub const LIFETIME_S: RangeInclusive<u64> = 1..=1_000_000_000_000;

/// Times that are read, in seconds since 1970: up to the last integer that a JavaScript number represents exactly (2^53 - 1).
pub const TIMES_S: RangeInclusive<f64> = 0.0..=9_007_199_254_740_991.0;

/// Checks what the Workers runtime would reject when it accepts the socket.
pub fn check_tags(tags: &[String]) -> Result<(), TokenError> {
    if tags.len() > MAX_TAGS {
        return Err(TokenError::TooManyTags { count: tags.len() });
    }
    match tags.iter().map(String::len).find(|bytes| !TAG_BYTES.contains(bytes)) {
        Some(bytes) => Err(TokenError::InvalidTag { bytes }),
        None => Ok(()),
    }
}

/// Checks the length of a subject.
pub(super) fn check_subject(subject: &str) -> Result<(), TokenError> {
    match subject.len() {
        bytes if SUBJECT_BYTES.contains(&bytes) => Ok(()),
        bytes => Err(TokenError::InvalidSubject { bytes }),
    }
}

/// Checks the nesting of an attachment by counting brackets outside strings, without recursion; raw values are known to be
/// well-formed JSON.
pub(super) fn check_attachment_depth(attachment: &str) -> Result<(), TokenError> {
    let mut depth = 0_usize;
    let mut bytes = attachment.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while bytes
                    .next()
                    .is_some_and(|byte| byte != b'"' && (byte != b'\\' || bytes.next().is_some()))
                {
                }
            }
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_ATTACHMENT_DEPTH {
            return Err(TokenError::AttachmentTooDeep);
        }
    }
    Ok(())
}
