//! The attachment of a socket, which outlives hibernation.

use crate::time::{from_millis, seconds};
use durable_event_log::{Position, Stored};
use durable_event_token::{Claims, ClientKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// The version of the layout of a client's session. Early releases wrote it without the member `version`. Readers ignore unknown
/// members, so only a layout that an older reader would misread needs a new version.
const VERSION: u64 = 1;

/// The version of the layout of a publisher subscriber's session. An older reader would send it messages that it cannot read.
const PUBLISHER_VERSION: u64 = 2;

/// Maximum size of a session in bytes. The Workers runtime accepts 16,384 bytes in its own encoding, which adds a few bytes to a
/// byte array. The member `version` is not counted, so that sessions that fitted before it existed still fit.
const MAX_BYTES: usize = 16_300;

/// Space reserved for a subscription, in bytes, so that one can always be added: an id of 64 bytes, each escaped as `\u0000`, and
/// the keys. A subscription with flow control has a shorter id ([`MAX_FLOW_ID_BYTES`]), and with its position needs no more. Nor does
/// an [`Unfinished`] replay, after which there is no subscription.
const SUBSCRIPTION_BYTES: usize = 64 * 6 + 64;

/// Space reserved for a member with its state's keys and time, in bytes, besides the state: see [`Membership`]. It is reserved from the
/// upgrade on, so that a subscription can always make its socket a member.
const MEMBER_BYTES: usize =
    r#","member":{"id":"1234567890123456789012","here":true,"owed":true,"state":{"json":,"meta":,"at":1234567890123456}}"#.len();

/// Maximum length of the call id of a subscription with flow control, in bytes. It contains no characters that JSON escapes.
pub(crate) const MAX_FLOW_ID_BYTES: usize = 32;

/// A socket's token, connection id, subscription and custom attachment.
///
/// It is stored as JSON in UTF-8 with the version of its layout. [`Session::decode`] is its only reader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    #[serde(default, rename = "version")]
    pub(crate) kind: Kind,
    pub(crate) claims: SessionClaims,
    /// Whether the expiry of the token ends its permissions on the open socket.
    pub(crate) enforced: bool,
    /// The connection id that the client sent, which stays the same when it reconnects.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<String>,
    /// The custom attachment.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) application: Option<Application>,
    /// Written by [`Session::encode`].
    #[serde(default, deserialize_with = "present", skip_serializing)]
    pub(crate) subscription: Option<Subscription>,
    /// Written by [`Session::encode`] if there is no subscription.
    #[serde(default, deserialize_with = "present", skip_serializing)]
    pub(crate) unfinished: Option<Unfinished>,
    /// Whether the client subscribes again once it has read what was sent. Written by [`Session::encode`] if there
    /// is no subscription.
    #[serde(default, rename = "parked", skip_serializing)]
    pub(crate) is_parked: bool,
    /// The member of a channel with presence. Written by [`Session::encode`].
    #[serde(default, deserialize_with = "present", skip_serializing)]
    pub(crate) member: Option<Membership>,
}

/// What a socket knows of its member, in a channel with presence.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// The member id, if it was generated since the socket has no key.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<Box<str>>,
    /// Whether the socket has had a live subscription that the client has not ended. It may be parked.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) here: bool,
    /// Whether presence events to the clients of the channel are pending.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) owed: bool,
    /// Whether the socket is that of a call over HTTP. Such a socket has no subscription.
    #[serde(default, rename = "call", skip_serializing_if = "is_false")]
    pub(crate) is_call: bool,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<MemberState>,
}

/// The state of a member, in oRPC's serialized form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MemberState {
    /// `None` after the state was removed.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<RawJson>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<RawJson>,
    /// The time at which it was set, in milliseconds since 1970. The latest one among the sockets of a member is its state.
    pub(crate) at: u64,
}

impl MemberState {
    /// Whether two states are the same, whenever they were set.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.json == other.json && self.meta == other.meta
    }

    fn bytes(&self) -> usize {
        let texts = self.json.iter().chain(&self.meta);
        texts.fold(0, |sum, text| sum.saturating_add(text.as_str().len()))
    }
}

/// What a socket is for. It is stored as the version of the layout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A client with a token.
    #[default]
    Client,
    /// A Worker that subscribes with oRPC's publisher. It has no token, and makes no calls.
    Publisher,
}

/// The only tag of a publisher's subscriber. Tokens cannot have it, since their tags are not empty.
pub(crate) const PUBLISHER_TAG: &str = "";

/// The id of a publisher subscriber's subscription, which has no call.
const PUBLISHER_SUBSCRIPTION: &str = "publisher";

/// A custom attachment in oRPC's serialized form, which preserves types such as `Date`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Application {
    pub(crate) json: RawJson,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<RawJson>,
}

impl Application {
    /// `undefined` is stored as `null`, so that an attachment exists.
    ///
    /// # Errors
    /// A text is not JSON.
    pub(crate) fn new(json: Option<String>, meta: Option<String>) -> Result<Self, serde_json::Error> {
        let json = RawJson::new(json.unwrap_or_else(|| "null".into()))?;
        Ok(Self { json, meta: meta.map(RawJson::new).transpose()? })
    }
}

/// The claims of the token that are needed after the upgrade.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionClaims {
    /// The procedures that the client may call.
    #[serde(default)]
    pub(crate) rpc: Vec<String>,
    /// The token's attachment.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) att: Option<RawJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tags: Vec<String>,
    /// The client's identity, set by the issuer of the token.
    #[serde(default, rename = "sub", deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<Box<str>>,
    /// Whether the token is for a `DurableIterator` client.
    #[serde(default, rename = "is_second", skip_serializing_if = "is_false")]
    pub(crate) is_durable_iterator: bool,
    /// Whether the client receives the events of every audience.
    #[serde(default, rename = "every_audience", skip_serializing_if = "is_false")]
    pub(crate) has_every_audience: bool,
    /// Time of issue, in seconds since 1970.
    #[serde(with = "exact")]
    pub(crate) iat: f64,
    /// Time of expiry, in seconds since 1970.
    #[serde(with = "exact")]
    pub(crate) exp: f64,
}

/// A `/subscribe` call that stays open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    /// The id of the call, `i`, which the client chose.
    pub(crate) id: String,
    /// Whether all missed events have been sent. Live events are sent only afterwards.
    pub(crate) live: bool,
    /// Present if the subscription has flow control.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) flow: Option<Flow>,
}

/// The log's position when a subscription with flow control became live, or before what a later acknowledgement has left: the segment,
/// and its number of events and bytes. After hibernation it limits what was sent to the client since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow(u64, u64, u64);

impl From<Position> for Flow {
    fn from(Position { segment, stored: Stored { events, bytes } }: Position) -> Self {
        Self(segment, events, bytes)
    }
}

impl Flow {
    /// Returns a position after which `bytes` more were stored than after this one. `None` if the segment has less.
    pub(crate) fn before(position: Position, bytes: u64) -> Option<Self> {
        let Flow(segment, events, stored) = position.into();
        Some(Self(segment, events, stored.checked_sub(bytes)?))
    }
}

impl From<Flow> for Position {
    fn from(Flow(segment, events, bytes): Flow) -> Self {
        Self { segment, stored: Stored { events, bytes } }
    }
}

/// A replay that has ended before its end, so that the client subscribes again. `on_subscribed` is called once the client has
/// received all missed events, and needs what was known when it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unfinished {
    /// Whether the client had no cursor.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) is_first: bool,
    /// The id of the first event after a gap.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(crate) gap: Option<u64>,
}

/// A JSON text of an attachment. `Debug` does not show it, since attachments do not belong in logs.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct RawJson(Box<RawValue>);

impl RawJson {
    /// Checks that the text is JSON.
    ///
    /// # Errors
    /// The text is not JSON.
    pub(crate) fn new(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl Kind {
    fn of(version: u64) -> Option<Self> {
        match version {
            VERSION => Some(Self::Client),
            PUBLISHER_VERSION => Some(Self::Publisher),
            _ => None,
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let version = match self {
            Self::Client => VERSION,
            Self::Publisher => PUBLISHER_VERSION,
        };
        version.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kind = Self::of(u64::deserialize(deserializer)?);
        kind.ok_or_else(|| serde::de::Error::custom("another version"))
    }
}

/// Serializes times as JavaScript does: whole seconds without `.0`. Reading is exact, unlike that of serde_json, so a time does not
/// change when it is written again.
mod exact {
    use super::*;

    pub(super) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let whole = *number as u64;
        if whole as f64 == *number { whole.serialize(serializer) } else { number.serialize(serializer) }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        <&RawValue>::deserialize(deserializer)?.get().parse().map_err(serde::de::Error::custom)
    }
}

/// Reads a member that is present. `null` is an error: we never write it, and reading it as absent would silently lose a subscription.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn is_false(value: &bool) -> bool {
    !value
}

impl From<&Claims> for SessionClaims {
    fn from(claims: &Claims) -> Self {
        Self {
            rpc: claims.procedures().to_vec(),
            att: claims.attachment_raw().map(|json| RawJson(json.to_owned())),
            tags: claims.tags().to_vec(),
            subject: claims.subject().map(Box::from),
            is_durable_iterator: claims.client_kind() == ClientKind::DurableIterator,
            has_every_audience: claims.has_every_audience(),
            iat: seconds(claims.issued_at()),
            exp: seconds(claims.expires_at()),
        }
    }
}

impl SessionClaims {
    /// Returns the first millisecond at which the token is expired. Tokens of `DurableIterator` clients are still valid in the
    /// millisecond of `exp`.
    fn ends_at_ms(&self) -> f64 {
        let end = self.exp * 1_000.0;
        if self.is_durable_iterator { end + 1.0 } else { end }
    }
}

/// Appends a member to an object.
fn push_member(object: &mut Vec<u8>, key: &[u8], value: &impl Serialize) -> Result<(), Unencodable> {
    object.pop(); // the closing brace
    object.extend_from_slice(key);
    serde_json::to_writer(&mut *object, value).map_err(|_| Unencodable::Serialize)?;
    object.push(b'}');
    Ok(())
}

impl Session {
    /// Creates the session of a new socket.
    pub(crate) fn new(claims: &Claims, connection: Option<String>, enforced: bool) -> Self {
        let (claims, kind) = (claims.into(), Kind::Client);
        let (application, subscription, unfinished, member) = (None, None, None, None);
        let is_parked = false;
        Self { kind, claims, enforced, connection, application, subscription, unfinished, is_parked, member }
    }

    /// Creates the session of a publisher's subscriber, whose subscription begins with the socket.
    pub(crate) fn for_publisher(now_ms: u64) -> Self {
        let now = seconds(from_millis(now_ms));
        Self {
            kind: Kind::Publisher,
            claims: SessionClaims {
                rpc: Vec::new(),
                att: None,
                tags: vec![PUBLISHER_TAG.to_owned()],
                subject: None,
                is_durable_iterator: false,
                has_every_audience: false,
                iat: now,
                exp: now,
            },
            enforced: false,
            connection: None,
            application: None,
            subscription: Some(Subscription {
                id: PUBLISHER_SUBSCRIPTION.to_owned(),
                live: false,
                flow: None,
            }),
            unfinished: None,
            is_parked: false,
            member: None,
        }
    }

    /// Returns whether the client may be a member of a channel with presence. Readers with every audience only watch: they are tools and
    /// Workers of the channel's operator.
    pub(crate) fn may_be_member(&self) -> bool {
        !self.is_publisher() && !self.claims.has_every_audience
    }

    /// Returns whether the socket makes its client a member of a channel with presence.
    pub(crate) fn is_present(&self) -> bool {
        let is_here = self.member.as_ref().is_some_and(|member| member.here);
        let is_live = || self.subscription.as_ref().is_some_and(|subscription| subscription.live);
        self.may_be_member() && (is_here || is_live())
    }

    /// Returns whether presence events to the clients of the channel are pending.
    pub(crate) fn owes_presence(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.owed)
    }

    /// Returns whether the socket belongs to a publisher's subscriber.
    pub(crate) fn is_publisher(&self) -> bool {
        self.kind == Kind::Publisher
    }

    /// Returns whether the token has expired and its expiry is enforced.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms() <= now_ms as f64
    }

    /// Returns the first millisecond since 1970 at which the session is expired, or infinity if expiry is not enforced.
    pub(crate) fn expires_ms(&self) -> f64 {
        if self.enforced { self.claims.ends_at_ms() } else { f64::INFINITY }
    }

    /// Serializes the session.
    ///
    /// # Errors
    /// The session exceeds the limit of the Workers runtime.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Unencodable> {
        let mut bytes = serde_json::to_vec(self).map_err(|_| Unencodable::Serialize)?;
        // The limit does not depend on the subscription, so that one can always be added.
        let mut counted = bytes.len().saturating_sub(UNCOUNTED_BYTES).saturating_add(SUBSCRIPTION_BYTES);
        if let Some(member) = &self.member {
            let state = member.state.as_ref().map_or(0, MemberState::bytes);
            counted = counted.saturating_add(MEMBER_BYTES).saturating_add(state);
        }
        if counted > MAX_BYTES {
            return Err(Unencodable::TooLarge { bytes: counted });
        }
        if let Some(member) = &self.member {
            push_member(&mut bytes, b",\"member\":", member)?;
        }
        match (&self.subscription, &self.unfinished) {
            (Some(subscription), _) => push_member(&mut bytes, b",\"subscription\":", subscription)?,
            (None, Some(unfinished)) => push_member(&mut bytes, b",\"unfinished\":", unfinished)?,
            (None, None) => {}
        }
        if self.is_parked && self.subscription.is_none() {
            push_member(&mut bytes, b",\"parked\":", &true)?;
        }
        Ok(bytes)
    }

    /// Reads a serialized session.
    ///
    /// # Errors
    /// The bytes are not a session, or have a layout of another version. Invalid members are never skipped: a skipped subscription
    /// would silently receive no more events.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }

        let is_object = bytes.trim_ascii_start().starts_with(b"{"); // serde would also accept an array
        serde_json::from_slice(bytes).ok().filter(|_| is_object).ok_or_else(|| {
            match serde_json::from_slice(bytes) {
                Ok(Versioned { version }) if Kind::of(version).is_none() && is_object => {
                    Unreadable::Version(version)
                }
                _ => Unreadable::Layout, // serde's message is dropped, since it may contain parts of the attachment
            }
        })
    }

    /// Estimates the memory of the session, in bytes.
    pub(crate) fn memory(&self) -> usize {
        let texts = |texts: &[String]| {
            texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()).saturating_add(TEXT_BYTES))
        };
        let optional = |text: Option<&str>| text.map_or(0, str::len);
        let application = self.application.as_ref();
        [
            SESSION_BYTES,
            texts(&self.claims.rpc),
            texts(&self.claims.tags),
            optional(self.claims.att.as_ref().map(RawJson::as_str)),
            optional(self.claims.subject.as_deref()),
            optional(self.connection.as_deref()),
            application.map_or(0, |application| application.json.as_str().len()),
            optional(application.and_then(|application| application.meta.as_ref()).map(RawJson::as_str)),
            self.member.as_ref().and_then(|member| member.state.as_ref()).map_or(0, MemberState::bytes),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

/// What does not count: the version, which earlier releases did not write, and the closing brace.
const UNCOUNTED_BYTES: usize = r#""version":1,}"#.len();

/// Overhead of a session in bytes besides its texts: the struct, and the allocator's header of each part.
const SESSION_BYTES: usize = 512;
/// Overhead of a text in a list, in bytes.
const TEXT_BYTES: usize = 32;

/// An attachment that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The attachment is not a session of any version.
    Layout,
    /// The attachment has a version that this code does not know.
    Version(u64),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout => f.write_str("not a session"),
            Self::Version(version) => {
                write!(f, "layout version {version}, expected at most {PUBLISHER_VERSION}")
            }
        }
    }
}

impl std::error::Error for Unreadable {}

/// A session that cannot be stored.
#[derive(Debug)]
pub(crate) enum Unencodable {
    /// The token's attachment, the custom attachment and the rest together exceed the limit of the Workers runtime.
    TooLarge { bytes: usize },
    /// The session cannot be written as JSON, which does not happen.
    Serialize,
}

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { bytes } => write!(
                f,
                "token attachment and socket attachment together must be at most {MAX_BYTES} bytes, got {bytes}"
            ),
            Self::Serialize => f.write_str("the session cannot be serialized"),
        }
    }
}

impl std::error::Error for Unencodable {}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(application: usize, subscription: Option<&str>) -> Session {
        let json = RawJson::new(format!("{:?}", "x".repeat(application))).unwrap();
        Session {
            kind: Kind::Client,
            claims: SessionClaims {
                rpc: vec![],
                att: None,
                tags: vec![],
                subject: None,
                is_durable_iterator: false,
                has_every_audience: false,
                iat: 1.0,
                exp: 2.0,
            },
            connection: None,
            enforced: true,
            subscription: subscription.map(|id| Subscription { id: id.into(), live: true, flow: None }),
            unfinished: None,
            is_parked: false,
            member: None,
            application: Some(Application { json, meta: None }),
        }
    }

    #[test]
    fn the_size_limit_does_not_depend_on_the_subscription() {
        let longest = "\u{1}".repeat(64);
        let fits = |size| session(size, None).encode().is_ok();
        let limit = (0..MAX_BYTES).rfind(|size| fits(*size)).unwrap();
        for subscription in [None, Some("0"), Some(longest.as_str())] {
            assert!(session(limit, subscription).encode().is_ok_and(|bytes| bytes.len() <= MAX_BYTES));
            assert!(session(limit + 1, subscription).encode().is_err());
        }
    }

    #[test]
    fn flow_control_and_an_unfinished_replay_need_no_more_space_than_a_subscription() {
        let limit = (0..MAX_BYTES).rfind(|size| session(*size, None).encode().is_ok()).unwrap();
        let most = u64::MAX >> 11;
        let mut longest = session(limit, Some(&"\u{1}".repeat(MAX_FLOW_ID_BYTES)));
        longest.subscription.as_mut().unwrap().flow = Some(Flow(most, most, most));
        let unfinished = Session {
            unfinished: Some(Unfinished { is_first: true, gap: Some(most) }),
            is_parked: true,
            ..session(limit, None)
        };
        for session in [longest, unfinished] {
            let bytes = session.encode().unwrap();
            assert!(bytes.len() <= MAX_BYTES);
            assert_eq!(Session::decode(&bytes), Ok(session));
        }
    }

    #[test]
    fn the_space_of_a_member_is_reserved_except_for_its_state() {
        let with = |size, member| Session { member: Some(member), ..session(size, None) };
        let limit = (0..MAX_BYTES).rfind(|size| with(*size, Membership::default()).encode().is_ok()).unwrap();
        let plain = (0..MAX_BYTES).rfind(|size| session(*size, None).encode().is_ok()).unwrap();
        assert_eq!(plain - limit, MEMBER_BYTES);
        let id = Some("1234567890123456789012".into());
        let largest = Membership { id, here: true, owed: true, is_call: false, state: None };
        let subscribed =
            Session { member: Some(largest.clone()), ..session(limit, Some(&"\u{1}".repeat(64))) };
        let bytes = subscribed.encode().unwrap();
        assert!(bytes.len() <= MAX_BYTES + UNCOUNTED_BYTES, "{}", bytes.len());
        assert_eq!(Session::decode(&bytes), Ok(subscribed));

        let json = RawJson::new("\"1234567890\"".into()).unwrap();
        let state = Some(MemberState { json: Some(json), meta: None, at: 1_800_000_000_000 });
        let with_state = |size| with(size, Membership { state: state.clone(), ..largest.clone() });
        assert!(with_state(limit).encode().is_err());
        let fits = with_state(limit - 12);
        assert_eq!(Session::decode(&fits.encode().unwrap()), Ok(fits));
    }

    #[test]
    fn debug_output_does_not_contain_attachments() {
        let mut session = session(3, None);
        session.claims.att = Some(RawJson::new("\"someone@example.org\"".into()).unwrap());
        let shown = format!("{session:?} {session:#?}");
        assert!(!shown.contains("xxx") && !shown.contains("example.org"), "{shown}");
    }

    #[test]
    fn an_encoded_session_decodes_to_itself() {
        let mut whole = session(3, Some("a\"b"));
        whole.claims.subject = Some("user \"1\"".into());
        let bytes = whole.encode().unwrap();
        let decoded = Session::decode(&bytes).unwrap();
        assert_eq!(decoded, whole);
    }

    #[test]
    fn the_session_of_a_publisher_has_a_version_that_older_readers_reject() {
        let session = Session::for_publisher(1_800_000_000_000);
        let bytes = session.encode().unwrap();
        assert!(bytes.starts_with(br#"{"version":2,"#), "{}", String::from_utf8_lossy(&bytes));
        assert_eq!(Session::decode(&bytes).unwrap(), session);
        assert!(session.is_publisher() && !session.is_expired(u64::MAX));
    }

    #[test]
    fn tokens_expire_at_exp_and_those_of_durable_iterator_clients_one_millisecond_later() {
        let mut session = session(0, None);
        assert!(!session.is_expired(1_999) && session.is_expired(2_000));
        session.claims.is_durable_iterator = true;
        assert!(!session.is_expired(2_000) && session.is_expired(2_001));
        session.enforced = false;
        assert!(!session.is_expired(u64::MAX));
    }

    /// Attachments of earlier releases, and invalid ones. `tests/attachments.test.ts` sets the same ones on real sockets.
    #[derive(serde::Deserialize)]
    struct Corpus {
        recorded: Vec<Attachment>,
        unreadable: Vec<Attachment>,
    }

    #[derive(serde::Deserialize)]
    struct Attachment {
        name: String,
        text: String,
    }

    fn corpus() -> Corpus {
        serde_json::from_str(include_str!("../../../../tests/attachments.json")).unwrap()
    }

    #[test]
    fn attachments_of_earlier_releases_are_read_completely() {
        for Attachment { name, text } in corpus().recorded {
            let session = Session::decode(text.as_bytes()).unwrap();
            let again = String::from_utf8(session.encode().unwrap()).unwrap();
            let has_version = text.starts_with(r#"{"version":"#);
            let expected = if has_version { text } else { text.replacen('{', r#"{"version":1,"#, 1) };
            assert_eq!(again, expected, "{name}");
            assert_eq!(Session::decode(again.as_bytes()).unwrap(), session, "{name}");
        }
    }

    #[test]
    fn attachments_of_no_release_are_unreadable() {
        for Attachment { name, text } in corpus().unreadable {
            let expected =
                if name.contains("later version") { Unreadable::Version(9) } else { Unreadable::Layout };
            assert_eq!(Session::decode(text.as_bytes()), Err(expected), "{name}");
        }
        for bytes in [b"".as_slice(), b"\xff", b"\xff\x0f\"\x01a"] {
            assert_eq!(Session::decode(bytes), Err(Unreadable::Layout), "{bytes:?}");
        }
    }

    #[test]
    fn the_version_does_not_count_towards_the_size_limit() {
        let fits = |size| session(size, None).encode().is_ok();
        let limit = (0..MAX_BYTES).rfind(|size| fits(*size)).unwrap();
        let before =
            r#"{"claims":{"rpc":[],"iat":1,"exp":2},"enforced":true,"application":{"json":""}"#.len();
        assert_eq!(limit, MAX_BYTES - SUBSCRIPTION_BYTES - before);
    }

    proptest::proptest! {
        #[test]
        fn decode_does_not_panic_on_any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Session::decode(&bytes);
        }
    }
}
