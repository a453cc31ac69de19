//! The format of `DurableIterator` tokens: the payload's JSON, a dot, and the signature of the JSON.

use super::{
    SigningKeys, TokenError,
    jws::{decode, encode},
};

/// Returns the signed token for a payload.
pub(crate) fn seal(mut payload: String, keys: &SigningKeys) -> String {
    let signature = keys.sign(payload.as_bytes());
    payload.push('.');
    encode(&signature, &mut payload);
    payload
}

/// Returns the payload of a token that one of the keys has signed. The signature contains no dot; the payload may.
pub(super) fn open<'t>(token: &'t str, keys: &SigningKeys) -> Result<&'t str, TokenError> {
    let (payload, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    if keys.matches(&decode(signature)?, payload.as_bytes()) {
        Ok(payload)
    } else {
        Err(TokenError::WrongSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sealed_token_can_be_opened() {
        let keys = SigningKeys::parse("key", None).unwrap();
        let payload = r#"{"chn":"a.b","iat":1.5}"#;
        let token = seal(payload.to_owned(), &keys);
        assert_eq!(open(&token, &keys).unwrap(), payload);
        for n in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[n] ^= 1;
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(open(&changed, &keys).is_err(), "{changed}");
        }
        assert!(open(&token, &SigningKeys::parse("another", None).unwrap()).is_err());
        assert!(open("{}", &keys).is_err());
        assert!(open("{}.", &keys).is_err());
    }
}
