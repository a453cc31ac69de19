//! The checks of a token's content, when it is issued and when it is verified.

use super::{
    TokenError,
    limits::{MAX_ATTACHMENT_DEPTH, MAX_TAGS, SUBJECT_BYTES, TAG_BYTES},
};

/// Checks the number and length of tags, which the Workers runtime limits for each socket.
///
/// # Errors
///
/// [`TokenError::TooManyTags`] or [`TokenError::InvalidTag`].
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

/// Checks the nesting of an attachment, which must be well-formed JSON, by counting brackets outside strings, without
/// recursion.
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
