//! The keys that sign and verify tokens.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{Claims, TokenError, time::milliseconds};
use std::time::SystemTime;

/// A key that signs and verifies tokens: the UTF-8 bytes of a string, as in the oRPC packages.
///
/// Use at least 32 random characters; whoever has the key can write tokens for every channel. The key itself is not
/// kept, only the state of HMAC-SHA256 made from it, and nothing prints it.
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
    /// The key made of the bytes of `secret`, exactly as they are: nothing is trimmed or decoded.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] if `secret` is empty, which is what a secret that was never set often looks like.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, InvalidKey> {
        keyed_mac(secret.as_ref()).map(Self)
    }

    fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut mac = self.0.clone();
        mac.update(message);
        mac.finalize().into_bytes().into()
    }

    /// Whether this key made `signature`, in the same time wherever the bytes differ: `verify_slice` compares with `subtle`'s
    /// `ct_eq`, which looks at all of them. A signature of another length is refused at once; its length is no secret, since
    /// whoever sent it knows it, and the right one is always [`SIGNATURE_BYTES`]. The MAC is computed before in any case.
    fn made(&self, signature: &[u8], message: &[u8]) -> bool {
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

/// The keys of a deployment: one signs, it and any number of older ones verify.
///
/// To change the key without refusing tokens that are out already: sign with the new key, keep the old one verifying
/// until the longest token lifetime (24 hours by default) is over, then leave it out.
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
    /// One key that both signs and verifies.
    pub fn new(signing: SigningKey) -> Self {
        Self { signing, previous: Vec::new() }
    }

    /// Adds a key that verifies and no longer signs.
    #[must_use]
    pub fn with_previous(mut self, key: SigningKey) -> Self {
        self.previous.push(key);
        self
    }

    /// The keys as they stand in a deployment's secrets: `signing` signs and verifies, `previous` holds older keys that
    /// still verify, one on each line. Empty lines do not count, so an empty `previous` means none. The keys themselves
    /// are not trimmed.
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

    /// Verifies a token at the time `now`, and returns its claims.
    ///
    /// There is no leeway: a token is refused from the instant of its `exp` on, and before its `nbf`. Only HS256 is
    /// accepted, whatever the token's header says, and only the canonical spelling of a token, so that no two texts are
    /// the same token.
    ///
    /// # Errors
    ///
    /// [`TokenError`] with the reason. Do not tell it to clients; `Invalid Token` is enough for them.
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

    /// Whether one of the keys made `signature`. Each comparison takes the same time wherever the bytes differ; how
    /// many keys were tried may show, which tells nothing about them.
    pub(super) fn made(&self, signature: &[u8], message: &[u8]) -> bool {
        std::iter::once(&self.signing).chain(&self.previous).any(|key| key.made(signature, message))
    }
}

impl From<SigningKey> for SigningKeys {
    fn from(signing: SigningKey) -> Self {
        Self::new(signing)
    }
}

/// The text cannot be a key: it is empty.
///
/// ```
/// use durable_event_token::SigningKey;
///
/// assert_eq!(SigningKey::new("").unwrap_err().to_string(), "a key must not be empty");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidKey(());

impl std::fmt::Display for InvalidKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key must not be empty")
    }
}

impl std::error::Error for InvalidKey {}

/// What HMAC-SHA256 yields.
pub(super) const SIGNATURE_BYTES: usize = 32;

/// HMAC-SHA256 keyed with a secret that must not be empty.
pub(super) fn keyed_mac(secret: &[u8]) -> Result<Hmac<Sha256>, InvalidKey> {
    if secret.is_empty() {
        return Err(InvalidKey(()));
    }
    // HMAC takes keys of any other length; the error cannot come.
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
        assert!(key.made(&expected, b"what do ya want for nothing?"));
        assert!(!key.made(&expected[..31], b"what do ya want for nothing?"));
        assert!(!key.made(&[], b"what do ya want for nothing?"));
    }

    #[test]
    fn previous_keys_verify_and_do_not_sign() {
        let old = SigningKeys::parse("old", None).unwrap();
        let older = SigningKeys::parse("older", None).unwrap();
        let keys = SigningKeys::parse("new", Some("old\r\n\nolder\n")).unwrap();
        assert_eq!(keys.previous.len(), 2);
        for others in [&old, &older, &keys] {
            assert!(keys.made(&others.sign(b"message"), b"message"));
        }
        assert!(!old.made(&keys.sign(b"message"), b"message"));
    }

    #[test]
    fn an_empty_list_of_previous_keys_is_none() {
        assert!(SigningKeys::parse("new", Some("")).unwrap().previous.is_empty());
        assert!(SigningKeys::parse("new", Some("\n\n")).unwrap().previous.is_empty());
        let empty_key_is_no_key = SigningKeys::parse("", Some("old"));
        assert_eq!(empty_key_is_no_key.unwrap_err(), InvalidKey(()));
    }

    #[test]
    fn keys_are_not_trimmed() {
        let plain = SigningKey::new("key").unwrap();
        let spaced = SigningKey::new("key ").unwrap();
        assert!(!plain.made(&spaced.sign(b"m"), b"m"));
    }

    #[test]
    fn debug_shows_no_key() {
        let keys = SigningKeys::parse("hunter2", Some("hunter1")).unwrap();
        let shown = format!("{keys:?} {keys:#?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(!shown.contains(char::is_numeric), "no state either: {shown}");
    }
}
