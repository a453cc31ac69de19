//! The form of a `DurableEventIterator` token: a compact JWS with HS256 (RFC 7515) and nothing else of that standard.

use base64::Engine;
// Canonical only: no padding, and the unused bits of the last character must be zero. Otherwise several texts would
// be the same token, and a changed last character would go unnoticed.
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::borrow::Cow;

use super::{SigningKeys, TokenError, claims::read_object};

/// Signs a payload into a token.
pub(crate) fn seal(payload: &str, keys: &SigningKeys) -> String {
    seal_with_header(HEADER.as_bytes(), payload.as_bytes(), keys)
}

/// The same with a header and a payload that need not make sense.
pub(crate) fn seal_with_header(header: &[u8], payload: &[u8], keys: &SigningKeys) -> String {
    let mut token = BASE64.encode(header);
    token.push('.');
    BASE64.encode_string(payload, &mut token);
    let signature = keys.sign(token.as_bytes());
    token.push('.');
    BASE64.encode_string(signature, &mut token);
    token
}

/// The payload of a token that one of the keys signed. Nothing of the payload is looked at before that is sure.
pub(super) fn open(token: &str, keys: &SigningKeys) -> Result<String, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    check_header(&decode_text(header)?)?;
    if !keys.made(&decode(signature)?, signed.as_bytes()) {
        return Err(TokenError::WrongSignature);
    }
    decode_text(payload)
}

/// What the oRPC packages write.
const HEADER: &str = r#"{"alg":"HS256"}"#;

/// The algorithm is ours to choose, not the token's: anything but HS256 is refused before a key is touched. Other
/// parameters (`typ`, `kid`) change nothing, except `crit`, whose meaning is "refuse me if you do not know this".
fn check_header(json: &str) -> Result<(), TokenError> {
    if json == HEADER {
        return Ok(());
    }
    let header: Header<'_> = read_object(json)?;
    match (&*header.alg, header.crit) {
        ("HS256", Some(_)) => Err(TokenError::UnsupportedExtension), // whatever its value
        ("HS256", None) => Ok(()),
        _ => Err(TokenError::UnsupportedAlgorithm),
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<IgnoredAny>,
}

/// Reads a parameter that is there. Null is a value of it, not its absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

/// Writes base64url.
pub(super) fn encode(bytes: &[u8], out: &mut String) {
    BASE64.encode_string(bytes, out);
}

/// Reads canonical base64url.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64.decode(part).map_err(|_| TokenError::Malformed)
}

fn decode_text(part: &str) -> Result<String, TokenError> {
    String::from_utf8(decode(part)?).map_err(|_| TokenError::Malformed)
}
