//! The secret of publishing over HTTP.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::InvalidKey;
use super::signing::{SIGNATURE_BYTES, keyed_mac};

/// The key that lets a server publish over HTTP (`Authorization: Bearer <key>`).
///
/// It is a secret of its own: it signs no tokens, and no token lets its owner publish. Nothing prints it.
///
/// ```
/// use durable_event_token::PublishKey;
///
/// let key = PublishKey::new("another secret")?;
/// assert!(key.admits(Some("Bearer another secret")));
/// assert!(!key.admits(Some("Bearer a guess")) && !key.admits(None));
/// assert_eq!(format!("{key:?}"), "PublishKey(..)");
/// # Ok::<(), durable_event_token::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct PublishKey {
    mac: Hmac<Sha256>,
    expected: [u8; SIGNATURE_BYTES],
}

impl PublishKey {
    /// The key made of the bytes of `secret`, exactly as they are.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if `secret` is empty.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        let mac = keyed_mac(secret.as_ref())?;
        let expected = mac.clone().chain_update(secret.as_ref()).finalize().into_bytes().into();
        Ok(Self { mac, expected })
    }

    /// Whether the value of an `Authorization` header carries this key. The scheme may be written in any case.
    ///
    /// Not the keys are compared but their HMACs, in constant time, so that the time taken tells neither where a guess
    /// goes wrong nor how long the key is.
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        authorization.and_then(bearer).is_some_and(|presented| {
            self.mac.clone().chain_update(presented).verify_slice(&self.expected).is_ok()
        })
    }
}

impl std::fmt::Debug for PublishKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PublishKey(..)")
    }
}

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_is_admitted() {
        let key = PublishKey::new("geheim").unwrap();
        assert!(key.admits(Some("Bearer geheim")));
        assert!(key.admits(Some("bEARER geheim")));
        for wrong in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer  geheim",
            "Bearer geheim ",
            "Bearer gehei",
            "Bearer geheimm",
            "geheim",
            "Basic geheim",
            "Bearer GEHEIM",
            "Bearer\tgeheim",
            "Bearer geheim, Bearer geheim",
            " Bearer geheim",
        ] {
            assert!(!key.admits(Some(wrong)), "{wrong:?}");
        }
        assert!(!key.admits(None));
    }

    #[test]
    fn an_empty_key_is_refused() {
        assert!(PublishKey::new("").is_err());
    }
}
