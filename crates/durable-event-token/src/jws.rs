//! The format of `DurableEventIterator` tokens: a compact JWS (RFC 7515) with HS256. No other part of JOSE is supported.

use base64::Engine;
// Canonical encoding only: without padding, and with zeros in the unused bits of the last character. Otherwise several texts
// would be the same token, and a changed last character would not be detected.
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::borrow::Cow;

use super::{SigningKeys, TokenError, claims::read_object};

/// Returns the signed token for a payload.
pub(crate) fn seal(payload: &str, keys: &SigningKeys) -> String {
    seal_with_header(HEADER.as_bytes(), payload.as_bytes(), keys)
}

/// Returns the signed token for any header and payload, valid or not.
pub(crate) fn seal_with_header(header: &[u8], payload: &[u8], keys: &SigningKeys) -> String {
    let mut token = BASE64.encode(header);
    token.push('.');
    BASE64.encode_string(payload, &mut token);
    let signature = keys.sign(token.as_bytes());
    token.push('.');
    BASE64.encode_string(signature, &mut token);
    token
}

/// Returns the payload of a token that one of the keys has signed. The payload is not decoded before the signature is verified.
pub(super) fn open(token: &str, keys: &SigningKeys) -> Result<String, TokenError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    check_header(&decode_text(header)?)?;
    if !keys.matches(&decode(signature)?, signed.as_bytes()) {
        return Err(TokenError::WrongSignature);
    }
    decode_text(payload)
}

/// The header that the oRPC packages write.
const HEADER: &str = r#"{"alg":"HS256"}"#;

/// Rejects every algorithm except HS256 before a key is used: the algorithm must not be the token's choice. Other parameters
/// (`typ`, `kid`) have no effect, except `crit`, which requires rejecting a token with unknown extensions.
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

/// Reads a parameter that is present: `null` is a value, not a missing parameter.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(deserializer).map(Some)
}

/// Appends the bytes in base64url.
pub(super) fn encode(bytes: &[u8], out: &mut String) {
    BASE64.encode_string(bytes, out);
}

/// Decodes canonical base64url.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    BASE64.decode(part).map_err(|_| TokenError::Malformed)
}

fn decode_text(part: &str) -> Result<String, TokenError> {
    String::from_utf8(decode(part)?).map_err(|_| TokenError::Malformed)
}
