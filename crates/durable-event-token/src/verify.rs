//! Verification: all checks between a string from the network and [`Claims`].

use super::{Claims, ClientKind, SigningKeys, TokenError, jws, limits::MAX_TOKEN_BYTES, signed_json};

/// Verifies a token at `now_ms`, in milliseconds since 1970, and returns its claims.
pub(crate) fn verify(token: &str, keys: &SigningKeys, now_ms: u64) -> Result<Claims, TokenError> {
    check_length(token)?;
    // A JWS cannot start with a brace, which is not a base64url character.
    let claims = if token.starts_with('{') {
        Claims::from_payload(signed_json::open(token, keys)?, ClientKind::DurableIterator)?
    } else {
        Claims::from_payload(&jws::open(token, keys)?, ClientKind::DurableEventIterator)?
    };
    if claims.is_expired_at_ms(now_ms) {
        return Err(TokenError::Expired);
    }
    if !claims.has_started_at(now_ms) {
        return Err(TokenError::NotYetValid);
    }
    Ok(claims)
}

/// Checks the length of a token: when verifying, before anything is decoded; when issuing, so that every issued token is
/// accepted.
pub(super) fn check_length(token: &str) -> Result<(), TokenError> {
    match token.len() {
        bytes if bytes > MAX_TOKEN_BYTES => Err(TokenError::TooLong { bytes, limit: MAX_TOKEN_BYTES }),
        _ => Ok(()),
    }
}
