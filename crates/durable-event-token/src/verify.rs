//! Every check between a string from the network and [`Claims`].

use super::{Claims, ClientKind, SigningKeys, TokenError, jws, limits::MAX_TOKEN_BYTES, signed_json};

/// What `token` claims, if one of `keys` signed it and it is valid at `now`, in milliseconds since 1970.
pub(crate) fn verify(token: &str, keys: &SigningKeys, now_ms: u64) -> Result<Claims, TokenError> {
    check_length(token)?;
    // No JWS starts with a brace: a base64url text has none.
    let claims = if token.starts_with('{') {
        Claims::from_payload(signed_json::open(token, keys)?, ClientKind::DurableIterator)?
    } else {
        Claims::from_payload(&jws::open(token, keys)?, ClientKind::DurableEventIterator)?
    };
    if claims.is_expired_at_ms(now_ms) {
        return Err(TokenError::Expired);
    }
    if !claims.has_begun_at(now_ms) {
        return Err(TokenError::NotYetValid);
    }
    Ok(claims)
}

/// Refuses what is too long before anything is decoded; the issuer uses it too, so as to issue nothing unusable.
pub(super) fn check_length(token: &str) -> Result<(), TokenError> {
    match token.len() {
        bytes if bytes > MAX_TOKEN_BYTES => Err(TokenError::TooLong { bytes, limit: MAX_TOKEN_BYTES }),
        _ => Ok(()),
    }
}
