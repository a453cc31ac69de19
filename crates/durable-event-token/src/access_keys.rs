//! Access keys: secrets of servers, each with rights on the channels of a prefix.

use std::fmt;

use serde_json::Value;

use super::InvalidKey;
use super::bearer_key::{InspectKey, PublishKey, ReadKey, Secret, bearer};

/// What an access key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Right {
    /// Publishing events.
    Publish,
    /// Reading the events of every audience, and the members of a channel.
    Read,
    /// Closing the sockets of clients, and revoking tokens.
    Disconnect,
    /// Reading the numbers of a channel, and its connections.
    Stats,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Read, Self::Disconnect, Self::Stats];

    /// Returns the name in JSON, such as `publish`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Disconnect => "disconnect",
            Self::Stats => "stats",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|right| right.name() == name)
    }
}

/// A secret with which a server accesses channels over HTTP (`Authorization: Bearer <key>`).
///
/// It applies to all channels, or to those whose name begins with a prefix. Use at least 32 random characters. `Debug` does not show
/// the secret.
///
/// ```
/// use durable_event_token::{AccessKey, Right};
///
/// let key = AccessKey::new("a secret", [Right::Publish])?.named("billing").prefix("orders/");
/// # Ok::<(), durable_event_token::InvalidKey>(())
/// ```
#[derive(Clone)]
pub struct AccessKey {
    secret: Secret,
    name: Option<String>,
    prefix: String,
    rights: Vec<Right>,
}

impl AccessKey {
    /// Returns a key with rights on all channels. The bytes of `secret` are not trimmed or decoded.
    ///
    /// # Errors
    /// [`InvalidKey`] if `secret` is empty.
    pub fn new(
        secret: impl AsRef<[u8]>,
        rights: impl IntoIterator<Item = Right>,
    ) -> Result<Self, InvalidKey> {
        Ok(Self::of(Secret::new(secret.as_ref())?, rights))
    }

    fn of(secret: Secret, rights: impl IntoIterator<Item = Right>) -> Self {
        Self { secret, name: None, prefix: String::new(), rights: rights.into_iter().collect() }
    }

    /// Sets the name, which error messages and logs contain.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Restricts the key to channels whose name begins with this text, such as `orders/`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn allows(&self, channel: &str, right: Right) -> bool {
        self.rights.contains(&right) && channel.starts_with(&self.prefix)
    }
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { secret: _, name, prefix, rights } = self;
        f.debug_struct("AccessKey")
            .field("name", name)
            .field("prefix", prefix)
            .field("rights", rights)
            .finish_non_exhaustive()
    }
}

impl From<PublishKey> for AccessKey {
    /// The right to publish to all channels.
    fn from(PublishKey(secret): PublishKey) -> Self {
        Self::of(secret, [Right::Publish])
    }
}

impl From<ReadKey> for AccessKey {
    /// The right to read all channels.
    fn from(ReadKey(secret): ReadKey) -> Self {
        Self::of(secret, [Right::Read])
    }
}

impl From<InspectKey> for AccessKey {
    /// All rights on all channels.
    fn from(InspectKey(secret): InspectKey) -> Self {
        Self::of(secret, Right::ALL)
    }
}

/// The access keys of a deployment.
///
/// If a secret is listed several times, it has the rights of each entry on the channels of that entry.
///
/// ```
/// use durable_event_token::{Access, AccessKeys, Right};
///
/// let keys = AccessKeys::parse(r#"[{ "key": "a secret", "name": "billing", "prefix": "orders/", "rights": ["publish"] }]"#)?;
/// let bearer = Some("Bearer a secret");
/// assert_eq!(keys.check(bearer, "orders/7", Right::Publish), Access::Granted);
/// assert_eq!(keys.check(bearer, "orders/7", Right::Read), Access::WrongRight { name: Some("billing") });
/// assert_eq!(keys.check(bearer, "rooms/7", Right::Publish), Access::WrongRight { name: Some("billing") });
/// assert_eq!(keys.check(Some("Bearer a guess"), "orders/7", Right::Publish), Access::Unknown);
/// # Ok::<(), durable_event_token::InvalidAccessKeys>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct AccessKeys {
    keys: Vec<AccessKey>,
}

/// The result of [`AccessKeys::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// The key has the right on the channel.
    Granted,
    /// The key does not have the right on the channel.
    WrongRight {
        /// The name of the key, if it has one.
        name: Option<&'a str>,
    },
    /// There is no such key.
    Unknown,
}

/// The properties of an entry.
const PROPERTIES: &str = "key, name, prefix and rights";

impl AccessKeys {
    /// Returns a list without keys.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads keys from JSON: an array of objects `{ "key", "name"?, "prefix"?, "rights" }`. `rights` are `publish`, `read`,
    /// `disconnect` and `stats`. Without `prefix`, the key applies to all channels.
    ///
    /// # Errors
    /// [`InvalidAccessKeys`], which states the position and the expected form. It contains no text of the JSON, which could be a
    /// key.
    pub fn parse(json: &str) -> Result<Self, InvalidAccessKeys> {
        let value: Value = serde_json::from_str(json).map_err(|error| {
            // The text of the error could contain a part of a key.
            let (line, column) = (error.line(), error.column());
            InvalidAccessKeys(format!("expected JSON, found a syntax error at line {line}, column {column}"))
        })?;
        let Value::Array(entries) = value else {
            return Err(InvalidAccessKeys("expected an array of keys".to_owned()));
        };
        let keys = entries.into_iter().enumerate().map(|(index, entry)| {
            entry_of(entry).map_err(|problem| InvalidAccessKeys(format!("[{index}]{problem}")))
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()? })
    }

    /// Adds a key. A [`PublishKey`], [`ReadKey`] or [`InspectKey`] can be passed.
    #[must_use]
    pub fn with(mut self, key: impl Into<AccessKey>) -> Self {
        self.keys.push(key.into());
        self
    }

    /// Adds the keys of another list.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        self
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether a key has a right on any channel.
    #[must_use]
    pub fn grants(&self, right: Right) -> bool {
        self.keys.iter().any(|key| key.rights.contains(&right))
    }

    /// Whether the value of an `Authorization` header contains one of the keys. See [`check`](Self::check).
    #[must_use]
    pub fn contains(&self, authorization: Option<&str>) -> bool {
        !self.find(authorization).is_empty()
    }

    /// Checks whether the value of an `Authorization` header contains a key with a right on a channel. The scheme `Bearer` is
    /// case-insensitive.
    ///
    /// It is compared with all keys, each in constant time, so that the time taken reveals nothing about them.
    #[must_use]
    pub fn check(&self, authorization: Option<&str>, channel: &str, right: Right) -> Access<'_> {
        let found = self.find(authorization);
        if found.iter().any(|key| key.allows(channel, right)) {
            return Access::Granted;
        }
        match found.first() {
            Some(key) => Access::WrongRight { name: key.name.as_deref() },
            None => Access::Unknown,
        }
    }

    /// Returns the entries with the presented key.
    fn find(&self, authorization: Option<&str>) -> Vec<&AccessKey> {
        let Some(presented) = authorization.and_then(bearer) else { return Vec::new() };
        // Without an early exit: all keys are compared.
        self.keys.iter().filter(|key| key.secret.equals(presented)).collect()
    }
}

/// Reads one key. An error begins with the property's path.
fn entry_of(entry: Value) -> Result<AccessKey, String> {
    let Value::Object(mut properties) = entry else {
        return Err(format!(": expected an object with the properties {PROPERTIES}"));
    };
    let mut text = |name: &str| match properties.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!(".{name}: expected a string")),
    };
    let (key, name, prefix) = (text("key")?, text("name")?, text("prefix")?);
    let rights = rights_of(properties.remove("rights"))?;
    if !properties.is_empty() {
        // Its name is not shown, since it could be a key.
        return Err(format!(": unknown property, expected {PROPERTIES}"));
    }
    let key = AccessKey::new(key.unwrap_or_default(), rights)
        .map_err(|_| ".key: expected a non-empty string".to_owned())?;
    Ok(AccessKey { name, prefix: prefix.unwrap_or_default(), ..key })
}

fn rights_of(value: Option<Value>) -> Result<Vec<Right>, String> {
    let expected = || ".rights: expected a non-empty array of publish, read, disconnect and stats".to_owned();
    let Some(Value::Array(names)) = value else { return Err(expected()) };
    if names.is_empty() {
        return Err(expected());
    }
    let right = |(index, name): (usize, &Value)| {
        name.as_str().and_then(Right::from_name).ok_or_else(|| {
            format!(".rights[{index}]: expected \"publish\", \"read\", \"disconnect\" or \"stats\"")
        })
    };
    names.iter().enumerate().map(right).collect()
}

/// The reason why access keys cannot be read: the position and the expected form. It contains no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAccessKeys(String);

impl fmt::Display for InvalidAccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidAccessKeys {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const JSON: &str = r#"[
        { "key": "billing's secret", "name": "billing", "prefix": "orders/", "rights": ["publish", "stats"] },
        { "key": "monitor's secret", "rights": ["stats"] },
        { "key": "shared", "prefix": "a/", "rights": ["read"] },
        { "key": "shared", "prefix": "b/", "rights": ["publish"] }
    ]"#;

    fn keys() -> AccessKeys {
        AccessKeys::parse(JSON).unwrap()
    }

    fn is_granted(key: &str, channel: &str, right: Right) -> bool {
        keys().check(Some(&format!("Bearer {key}")), channel, right) == Access::Granted
    }

    #[test]
    fn a_key_has_its_rights_on_the_channels_of_its_prefix() {
        for (key, channel, granted) in [
            ("billing's secret", "orders/", vec![Right::Publish, Right::Stats]),
            ("billing's secret", "orders/7", vec![Right::Publish, Right::Stats]),
            ("billing's secret", "orders", vec![]),
            ("billing's secret", "Orders/7", vec![]),
            ("billing's secret", "x/orders/7", vec![]),
            ("billing's secret", "", vec![]),
            ("monitor's secret", "", vec![Right::Stats]),
            ("monitor's secret", "orders/7", vec![Right::Stats]),
            ("shared", "a/1", vec![Right::Read]),
            ("shared", "b/1", vec![Right::Publish]),
            ("shared", "c/1", vec![]),
        ] {
            for right in Right::ALL {
                assert_eq!(
                    is_granted(key, channel, right),
                    granted.contains(&right),
                    "{key} {channel} {right:?}"
                );
            }
        }
    }

    #[test]
    fn a_key_without_the_right_differs_from_an_unknown_key() {
        let keys = keys();
        let check = |header: &str| keys.check(Some(header), "orders/7", Right::Read);
        assert_eq!(check("Bearer billing's secret"), Access::WrongRight { name: Some("billing") });
        assert_eq!(check("bearer monitor's secret"), Access::WrongRight { name: None });
        for unknown in ["", "Bearer", "Bearer ", "Bearer billing's secret ", "Basic shared", "shared"] {
            assert_eq!(check(unknown), Access::Unknown, "{unknown:?}");
        }
        assert_eq!(keys.check(None, "orders/7", Right::Publish), Access::Unknown);
        assert!(
            keys.contains(Some("Bearer shared"))
                && !keys.contains(Some("Bearer share"))
                && !keys.contains(None)
        );
    }

    #[test]
    fn the_single_keys_are_access_keys_for_all_channels() {
        let keys = AccessKeys::new()
            .with(PublishKey::new("p").unwrap())
            .with(ReadKey::new("r").unwrap())
            .and(AccessKeys::new().with(InspectKey::new("i").unwrap()));
        for (key, rights) in
            [("p", vec![Right::Publish]), ("r", vec![Right::Read]), ("i", Right::ALL.to_vec())]
        {
            for right in Right::ALL {
                let access = keys.check(Some(&format!("Bearer {key}")), "any", right);
                assert_eq!(access == Access::Granted, rights.contains(&right), "{key} {right:?}");
            }
        }
        assert!(!keys.is_empty() && Right::ALL.into_iter().all(|right| keys.grants(right)));
        assert!(AccessKeys::new().is_empty() && !AccessKeys::new().grants(Right::Publish));
    }

    #[test]
    fn invalid_json_is_reported_with_its_position_and_without_its_text() {
        for (json, expected) in [
            ("", "expected JSON, found a syntax error at line 1, column 0"),
            ("geheim", "expected JSON, found a syntax error at line 1"),
            (r#"["#, "expected JSON"),
            (r#"{"key":"geheim"}"#, "expected an array of keys"),
            (r#""geheim""#, "expected an array of keys"),
            (r#"["geheim"]"#, "[0]: expected an object with the properties key, name, prefix and rights"),
            (r#"[{"rights":["read"]}]"#, "[0].key: expected a non-empty string"),
            (r#"[{"key":"","rights":["read"]}]"#, "[0].key: expected a non-empty string"),
            (r#"[{"key":7,"rights":["read"]}]"#, "[0].key: expected a string"),
            (r#"[{"key":"geheim","name":null,"rights":["read"]}]"#, "[0].name: expected a string"),
            (r#"[{"key":"geheim","prefix":["a"],"rights":["read"]}]"#, "[0].prefix: expected a string"),
            (
                r#"[{"key":"a","rights":["read"]},{"key":"geheim"}]"#,
                "[1].rights: expected a non-empty array of publish, read, disconnect and stats",
            ),
            (r#"[{"key":"geheim","rights":[]}]"#, "[0].rights: expected a non-empty array"),
            (r#"[{"key":"geheim","rights":"read"}]"#, "[0].rights: expected a non-empty array"),
            (r#"[{"key":"geheim","rights":["read","geheim"]}]"#, "[0].rights[1]: expected \"publish\""),
            (r#"[{"key":"geheim","rights":["Read"]}]"#, "[0].rights[0]: expected \"publish\""),
            (r#"[{"geheim":["read"]}]"#, "[0].rights: expected"),
            (r#"[{"key":"a","rights":["read"],"geheim":1}]"#, "[0]: unknown property, expected key"),
        ] {
            let error = AccessKeys::parse(json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{json}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
        assert!(AccessKeys::parse("[]").unwrap().is_empty());
    }

    #[test]
    fn debug_shows_no_secret() {
        let debug = format!("{:?}", keys());
        assert!(debug.contains("billing") && debug.contains("orders/"), "{debug}");
        assert!(!debug.contains("secret") && !debug.contains("shared"), "{debug}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,200}", key in "[!-~]{1,40}") {
            let _ = AccessKeys::parse(&text);
            let json = serde_json::json!([{ "key": key, "rights": ["read"] }]).to_string();
            let keys = AccessKeys::parse(&json).unwrap();
            let known = keys.contains(Some(&format!("Bearer {key}")));
            let longer = keys.contains(Some(&format!("Bearer {key}{text}")));
            prop_assert!(known && (!longer || text.is_empty()));
        }
    }
}
