//! The keys that sign and verify tokens.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Claims, TokenError, time::milliseconds};
use std::time::SystemTime;

/// A signing key, which signs and verifies tokens: the UTF-8 bytes of a string, as in the oRPC packages.
///
/// Use at least 32 random characters: everyone who has the key can issue tokens for every channel. Only the state of
/// HMAC-SHA256 is kept, not the key itself. `Debug` does not show it.
///
/// ```
/// use durable_event_token::SigningKey;
///
/// let key = SigningKey::new("a secret")?;
/// assert_eq!(format!("{key:?}"), "SigningKey(..)");
/// assert!(SigningKey::new("").is_err());
/// # Ok::<(), durable_event_token::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// Returns the key with the bytes of `secret`. They are not trimmed or decoded.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if `secret` is empty, as it often is if it has not been configured.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        keyed_mac(secret.as_ref()).map(Self)
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether `signature` was created with this key. The comparison is in constant time: `verify_slice` uses `subtle`'s
    /// `ct_eq`, which compares all bytes. A signature of the wrong length is rejected without a comparison, which reveals
    /// nothing: the sender knows its length, and the right length is always [`SIGNATURE_BYTES`].
    fn matches(&self, signature: &[u8], message: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.verify_slice(signature).is_ok()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

/// The signing keys of a deployment: a current key that signs and verifies, and previous keys that only verify.
///
/// To rotate the key without rejecting issued tokens, sign with the new key and keep the old one as a previous key for the
/// longest token lifetime (24 hours by default). Then remove it.
///
/// ```
/// use durable_event_token::{SigningKeys, Token};
/// use std::time::SystemTime;
///
/// let now = SystemTime::now();
/// let before = SigningKeys::parse("old secret", None)?;
/// let token = Token::builder("some-room").sign(&before, now)?;
///
/// let after = SigningKeys::parse("new secret", Some("old secret"))?;
/// assert_eq!(after.verify(&token, now)?.channel().as_str(), "some-room");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct SigningKeys {
    signing: SigningKey,
    previous: Vec<SigningKey>,
}

impl SigningKeys {
    /// Returns keys with a current key and no previous keys.
    pub fn new(signing: SigningKey) -> Self {
        Self { signing, previous: Vec::new() }
    }

    /// Adds a previous key, which only verifies.
    #[must_use]
    pub fn with_previous(mut self, key: SigningKey) -> Self {
        self.previous.push(key);
        self
    }

    /// Parses the secrets of a deployment. `signing` is the current key, `previous` contains the previous keys, one per line.
    /// Empty lines are ignored; the keys are not trimmed.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if `signing` is empty.
    ///
    /// ```
    /// use durable_event_token::SigningKeys;
    ///
    /// let keys = SigningKeys::parse("this month's", Some("last month's\nthe one before"))?;
    /// # Ok::<(), durable_event_token::InvalidKey>(())
    /// ```
    pub fn parse(signing: &str, previous: Option<&str>) -> Result<Self, InvalidKey> {
        let lines = previous.unwrap_or_default().lines().filter(|line| !line.is_empty());
        Ok(Self {
            signing: SigningKey::new(signing)?,
            previous: lines.map(SigningKey::new).collect::<Result<_, _>>()?,
        })
    }

    /// Verifies a token at the time `now` and returns its claims.
    ///
    /// There is no leeway for `exp` and `nbf`; see [`Claims::is_expired_at`]. The only accepted algorithm is HS256, regardless
    /// of the token's header. Base64url must be canonical, so that no two texts are the same token.
    ///
    /// # Errors
    ///
    /// [`TokenError`] with the reason. Do not send the reason to clients: `Invalid Token` is enough.
    ///
    /// ```
    /// use durable_event_token::{SigningKeys, Token, TokenError};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let keys = SigningKeys::parse("a secret", None)?;
    /// let token = Token::builder("some-room").sign(&keys, SystemTime::now())?;
    /// assert_eq!(keys.verify(&token, SystemTime::now())?.channel().as_str(), "some-room");
    ///
    /// let a_day_later = SystemTime::now() + Duration::from_secs(86_400);
    /// assert!(matches!(keys.verify(&token, a_day_later), Err(TokenError::Expired)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Claims, TokenError> {
        super::verify::verify(token, self, milliseconds(now))
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.signing.sign(message)
    }

    /// Whether `signature` was created with one of the keys. Each comparison is in constant time; the time may reveal the
    /// number of keys, but nothing about the keys.
    pub(super) fn matches(&self, signature: &[u8], message: &[u8]) -> bool {
        std::iter::once(&self.signing).chain(&self.previous).any(|key| key.matches(signature, message))
    }
}

impl From<SigningKey> for SigningKeys {
    fn from(signing: SigningKey) -> Self {
        Self::new(signing)
    }
}

/// The error for an empty signing key or publish key.
///
/// ```
/// use durable_event_token::SigningKey;
///
/// assert_eq!(SigningKey::new("").unwrap_err().to_string(), "key must not be empty");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidKey(());

impl std::fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("key must not be empty")
    }
}

impl std::error::Error for InvalidKey {}

/// Length of an HMAC-SHA256 signature in bytes.
pub(super) const SIGNATURE_BYTES: usize = 32;

/// Returns HMAC-SHA256 with `secret` as its key.
pub(super) fn keyed_mac(secret: &[u8]) -> Result<Hmac<Sha256>, InvalidKey> {
    if secret.is_empty() {
        return Err(InvalidKey(()));
    }
    // HMAC accepts keys of any other length, so this error cannot occur.
    Hmac::new_from_slice(secret).map_err(|_| InvalidKey(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_hmac_sha256() {
        // RFC 4231, test case 2.
        let key = SigningKey::new("Jefe").unwrap();
        let expected: [u8; 32] = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        assert_eq!(key.sign(b"what do ya want for nothing?"), expected);
        assert!(key.matches(&expected, b"what do ya want for nothing?"));
        assert!(!key.matches(&expected[..31], b"what do ya want for nothing?"));
        assert!(!key.matches(&[], b"what do ya want for nothing?"));
    }

    #[test]
    fn previous_keys_verify_and_do_not_sign() {
        let old = SigningKeys::parse("old", None).unwrap();
        let older = SigningKeys::parse("older", None).unwrap();
        let keys = SigningKeys::parse("new", Some("old\r\n\nolder\n")).unwrap();
        assert_eq!(keys.previous.len(), 2);
        for others in [&old, &older, &keys] {
            assert!(keys.matches(&others.sign(b"message"), b"message"));
        }
        assert!(!old.matches(&keys.sign(b"message"), b"message"));
    }

    #[test]
    fn empty_lines_are_not_previous_keys() {
        assert!(SigningKeys::parse("new", Some("")).unwrap().previous.is_empty());
        assert!(SigningKeys::parse("new", Some("\n\n")).unwrap().previous.is_empty());
        assert_eq!(SigningKeys::parse("", Some("old")).unwrap_err(), InvalidKey(()));
    }

    #[test]
    fn keys_are_not_trimmed() {
        let plain = SigningKey::new("key").unwrap();
        let spaced = SigningKey::new("key ").unwrap();
        assert!(!plain.matches(&spaced.sign(b"m"), b"m"));
    }

    #[test]
    fn debug_does_not_show_keys() {
        let keys = SigningKeys::parse("hunter2", Some("hunter1")).unwrap();
        let shown = format!("{keys:?} {keys:#?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(!shown.contains(char::is_numeric), "state of the HMAC in {shown}");
    }
}
