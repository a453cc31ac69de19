//! The secrets that servers send as `Authorization: Bearer <key>`: the publish key, the read key and the inspect key.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::InvalidKey;
use super::signing::{SIGNATURE_BYTES, keyed_mac};

/// Defines the type of a secret.
macro_rules! bearer_key {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone)]
        pub struct $name(pub(super) Secret);

        impl $name {
            /// Returns the key with the bytes of `secret`. They are not trimmed or decoded.
            ///
            /// # Errors
            ///
            /// [`InvalidKey`] if `secret` is empty.
            pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
                Secret::new(secret.as_ref()).map(Self)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}

bearer_key! {
    /// The publish key: the secret with which a server publishes over HTTP (`Authorization: Bearer <key>`).
    ///
    /// It is separate from the signing keys: it does not sign tokens, and a token does not allow publishing over HTTP. `Debug` does
    /// not show it.
    ///
    /// ```
    /// use durable_event_token::{AccessKeys, PublishKey};
    ///
    /// let key = PublishKey::new("another secret")?;
    /// assert_eq!(format!("{key:?}"), "PublishKey(..)");
    ///
    /// let keys = AccessKeys::new().with(key);
    /// assert!(keys.contains(Some("Bearer another secret")) && !keys.contains(Some("Bearer a guess")));
    /// # Ok::<(), durable_event_token::InvalidKey>(())
    /// ```
    PublishKey
}

bearer_key! {
    /// The read key: the secret with which a server reads all events of all channels over HTTP (`Authorization: Bearer <key>`).
    ///
    /// It is separate from the signing keys and the publish key. `Debug` does not show it.
    ///
    /// ```
    /// use durable_event_token::{AccessKeys, ReadKey};
    ///
    /// let keys = AccessKeys::new().with(ReadKey::new("a third secret")?);
    /// assert!(keys.contains(Some("Bearer a third secret")) && !keys.contains(Some("Bearer a guess")));
    /// # Ok::<(), durable_event_token::InvalidKey>(())
    /// ```
    ReadKey
}

bearer_key! {
    /// The inspect key: the secret that allows everything on all channels over HTTP, and with which the inspector page is used.
    ///
    /// It is separate from the other keys. `Debug` does not show it.
    ///
    /// ```
    /// use durable_event_token::{AccessKeys, InspectKey};
    ///
    /// let keys = AccessKeys::new().with(InspectKey::new("a fourth secret")?);
    /// assert!(keys.contains(Some("Bearer a fourth secret")) && !keys.contains(Some("Bearer a guess")));
    /// # Ok::<(), durable_event_token::InvalidKey>(())
    /// ```
    InspectKey
}

/// A secret, prepared for comparisons.
#[derive(Clone)]
pub(super) struct Secret {
    mac: Hmac<Sha256>,
    expected: [u8; SIGNATURE_BYTES],
}

impl Secret {
    pub(super) fn new(secret: &[u8]) -> Result<Self, InvalidKey> {
        let mac = keyed_mac(secret)?;
        let expected = mac.clone().chain_update(secret).finalize().into_bytes().into();
        Ok(Self { mac, expected })
    }

    /// Whether a text is this secret.
    ///
    /// HMACs are compared, in constant time, so that the time taken reveals neither the position of the first wrong byte nor the
    /// length of the secret.
    pub(super) fn equals(&self, presented: &str) -> bool {
        self.mac.clone().chain_update(presented).verify_slice(&self.expected).is_ok()
    }
}

/// Returns the key of an `Authorization` header.
pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(key)
}

#[cfg(test)]
mod tests {
    use super::super::AccessKeys;
    use super::*;

    #[test]
    fn only_the_exact_key_is_accepted() {
        let keys = AccessKeys::new().with(PublishKey::new("geheim").unwrap());
        assert!(keys.contains(Some("Bearer geheim")));
        assert!(keys.contains(Some("bEARER geheim")));
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
            assert!(!keys.contains(Some(wrong)), "{wrong:?}");
        }
        assert!(!keys.contains(None));
    }

    #[test]
    fn an_empty_key_is_rejected() {
        assert!(PublishKey::new("").is_err());
    }
}
