//! The claims of a token.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use std::time::SystemTime;

use super::{
    ChannelName, ClientKind, TokenError,
    attachment::{has_lone_surrogate, read_attachment},
    checks::{check_attachment_depth, check_subject, check_tags},
    limits::TIMES_S,
    time::{milliseconds, system_time},
};

/// The claims of a verified token.
///
/// Only [`SigningKeys::verify`](super::SigningKeys::verify) returns claims, so the signature of their token was valid. The
/// token may have expired since.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use durable_event_token::{SigningKeys, Token};
/// # use serde_json::json;
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// let now = SystemTime::now();
/// let token = Token::builder("some-room")
///     .procedures(["publishMessage"])
///     .attachment(&json!({ "userId": "user-123" }))
///     .sign(&keys, now)?;
///
/// let claims = keys.verify(&token, now)?;
/// assert!(claims.allows("publishMessage") && !claims.allows("router"));
/// assert_eq!(claims.attachment::<serde_json::Value>()?["userId"], "user-123");
/// assert_eq!(claims.expires_at().duration_since(claims.issued_at())?, Duration::from_secs(86_400));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Claims {
    client_kind: ClientKind,
    channel: ChannelName,
    tags: Vec<String>,
    subject: Option<Box<str>>,
    has_every_audience: bool,
    procedures: Vec<String>,
    attachment: Option<Box<RawValue>>,
    issued_at: f64,
    expires_at: f64,
    not_before: Option<f64>,
}

impl Claims {
    /// Returns the kind of client that the token is for.
    pub fn client_kind(&self) -> ClientKind {
        self.client_kind
    }

    /// Returns the tags, by which events can be restricted to some clients. `DurableEventIterator` tokens have no tags.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Returns the subject (`sub`), which identifies the user, or `None` if the token has no subject.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether the client receives the events of every audience (`dei:audience` is `"every"`): see
    /// [`TokenBuilder::every_audience`](super::TokenBuilder::every_audience).
    pub fn has_every_audience(&self) -> bool {
        self.has_every_audience
    }

    /// Returns the channel to which the token gives access (`chn`).
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Returns the procedures that the client may call (`rpc`), by the first segment of their path: `router` allows
    /// `router.ping` too.
    pub fn procedures(&self) -> &[String] {
        &self.procedures
    }

    /// Whether the client may call `procedure`, the first segment of a path.
    pub fn allows(&self, procedure: &str) -> bool {
        self.procedures.iter().any(|allowed| allowed == procedure)
    }

    /// Deserializes the application's attachment (`att`) to a `T`. A missing attachment is read as `null`, which `Option<T>`
    /// and `()` accept; a lone surrogate is read as U+FFFD.
    ///
    /// # Errors
    ///
    /// [`TokenError::Attachment`] if the attachment is not a `T`.
    pub fn attachment<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        read_attachment(self.attachment_json()).map_err(TokenError::Attachment)
    }

    /// Returns the attachment's JSON text as it is in the token, or `None` without an attachment. It may contain escapes of
    /// lone surrogates, which serde_json rejects and [`attachment`](Self::attachment) replaces.
    pub fn attachment_json(&self) -> Option<&str> {
        self.attachment.as_deref().map(RawValue::get)
    }

    /// Returns the attachment's JSON as a [`RawValue`]; see [`attachment_json`](Self::attachment_json).
    pub fn attachment_raw(&self) -> Option<&RawValue> {
        self.attachment.as_deref()
    }

    /// Returns the time at which the token was issued (`iat`).
    pub fn issued_at(&self) -> SystemTime {
        system_time(self.issued_at)
    }

    /// Returns the time at which the token expires (`exp`).
    pub fn expires_at(&self) -> SystemTime {
        system_time(self.expires_at)
    }

    /// Returns the time from which the token is valid (`nbf`), or `None` if it is valid immediately.
    pub fn not_before(&self) -> Option<SystemTime> {
        self.not_before.map(system_time)
    }

    /// Whether the token has expired at `time`, compared in milliseconds. `DurableEventIterator` tokens expire at `exp`,
    /// `DurableIterator` tokens in the millisecond after it.
    pub fn is_expired_at(&self, time: SystemTime) -> bool {
        self.is_expired_at_ms(milliseconds(time))
    }

    pub(super) fn is_expired_at_ms(&self, now_ms: u64) -> bool {
        let (end, now) = (self.expires_at * MS_PER_SECOND, now_ms as f64);
        match self.client_kind {
            ClientKind::DurableEventIterator => end <= now,
            ClientKind::DurableIterator => end < now,
        }
    }

    /// Whether the token is already valid at `now_ms` (`nbf`). Compared in whole seconds, as in the oRPC packages, so that a
    /// token with a fraction in `nbf` is not accepted earlier than by oRPC.
    pub(super) fn has_started_at(&self, now_ms: u64) -> bool {
        self.not_before.is_none_or(|not_before| not_before <= (now_ms as f64 / MS_PER_SECOND).floor())
    }
}

/// The claims that an issuer sets.
pub(super) struct NewClaims {
    pub(super) client_kind: ClientKind,
    pub(super) channel: ChannelName,
    pub(super) tags: Vec<String>,
    pub(super) subject: Option<String>,
    pub(super) has_every_audience: bool,
    pub(super) procedures: Vec<String>,
    pub(super) attachment: Option<Box<RawValue>>,
    pub(super) issued_at_s: u64,
    pub(super) expires_at_s: u64,
}

impl TryFrom<NewClaims> for Claims {
    type Error = TokenError;

    fn try_from(new: NewClaims) -> Result<Self, TokenError> {
        check_tags(&new.tags)?;
        new.subject.as_deref().map_or(Ok(()), check_subject)?;
        if let Some(attachment) = &new.attachment {
            check_attachment_depth(attachment.get())?;
            if has_lone_surrogate(attachment.get()) {
                return Err(TokenError::LoneSurrogate("att"));
            }
        }
        let expires_at = new.expires_at_s as f64;
        if !TIMES_S.contains(&expires_at) {
            return Err(TokenError::InvalidLifetime);
        }
        Ok(Self {
            client_kind: new.client_kind,
            channel: new.channel,
            tags: new.tags,
            subject: new.subject.map(Box::from),
            has_every_audience: new.has_every_audience,
            procedures: new.procedures,
            attachment: new.attachment,
            issued_at: new.issued_at_s as f64,
            expires_at,
            not_before: None,
        })
    }
}

/// The payload JSON, which both token formats share.
impl Claims {
    /// Reads the claims from the payload of a token whose signature has been verified.
    ///
    /// A duplicate claim is rejected, because two readers could disagree about which of them counts. Unknown claims are
    /// ignored.
    pub(crate) fn from_payload(json: &str, client_kind: ClientKind) -> Result<Self, TokenError> {
        let raw: RawClaims<'_> = read_object(json)?;
        let claims = Self {
            client_kind,
            tags: match (client_kind, raw.tags) {
                (ClientKind::DurableIterator, Some(tags)) => texts("tags", tags)?,
                _ => Vec::new(), // `DurableEventIterator` tokens have no tags
            },
            channel: text("chn", required("chn", raw.chn)?)?.try_into()?,
            subject: raw.sub.map(|sub| text("sub", sub)).transpose()?.map(Box::from),
            // Any other value is an unknown claim, which grants nothing.
            has_every_audience: raw.audience.is_some_and(|audience| audience.get() == EVERY_AUDIENCE),
            procedures: match (client_kind, raw.rpc) {
                (ClientKind::DurableIterator, None) => Vec::new(),
                (_, rpc) => texts("rpc", required("rpc", rpc)?)?,
            },
            attachment: raw.att.map(ToOwned::to_owned),
            issued_at: time("iat", required("iat", raw.iat)?)?,
            expires_at: time("exp", required("exp", raw.exp)?)?,
            not_before: raw.nbf.map(|nbf| time("nbf", nbf)).transpose()?,
        };
        claims.subject().map_or(Ok(()), check_subject)?;
        claims.attachment_json().map_or(Ok(()), check_attachment_depth)?;
        Ok(claims)
    }

    /// Returns the payload. Its members are in the same order as in the oRPC packages.
    pub(crate) fn to_payload(&self) -> Result<String, TokenError> {
        let payload = Payload {
            chn: self.channel.as_str(),
            rpc: &self.procedures,
            tags: &self.tags,
            att: self.attachment.as_deref(),
            sub: self.subject(),
            audience: self.has_every_audience.then_some("every"),
            iat: self.issued_at.into(),
            exp: self.expires_at.into(),
            nbf: self.not_before.map(Seconds::from),
        };
        serde_json::to_string(&payload).map_err(|error| TokenError::Attachment(error.into()))
    }
}

/// Shows whether there is an attachment, but not its content, which may be personal data and does not belong in logs.
impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims")
            .field("client_kind", &self.client_kind)
            .field("channel", &self.channel)
            .field("tags", &self.tags)
            .field("subject", &self.subject)
            .field("has_every_audience", &self.has_every_audience)
            .field("procedures", &self.procedures)
            .field("attachment", &self.attachment.as_ref().map(|_| format_args!("..")))
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("not_before", &self.not_before)
            .finish()
    }
}

const MS_PER_SECOND: f64 = 1_000.0;

/// The JSON of the claim `dei:audience` that grants the events of every audience.
const EVERY_AUDIENCE: &str = "\"every\"";

/// The payload as it is written.
#[derive(Serialize)]
struct Payload<'a> {
    chn: &'a str,
    rpc: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    att: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(rename = "dei:audience", skip_serializing_if = "Option::is_none")]
    audience: Option<&'static str>,
    iat: Seconds,
    exp: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Seconds>,
}

/// A time in seconds, written as in JavaScript: integers without `.0`.
#[derive(Serialize)]
#[serde(untagged)]
enum Seconds {
    Whole(u64),
    Fraction(f64),
}

impl From<f64> for Seconds {
    fn from(seconds: f64) -> Self {
        if seconds.fract() == 0.0 { Self::Whole(seconds as u64) } else { Self::Fraction(seconds) }
    }
}

/// The payload as it is read. Each claim is raw JSON first, so that an error can name the claim without quoting its value.
#[derive(Deserialize)]
struct RawClaims<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    chn: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    rpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    att: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    sub: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "dei:audience", deserialize_with = "present")]
    audience: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    iat: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    exp: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    nbf: Option<&'a RawValue>,
}

/// Reads a claim that is present: `null` is a value, not a missing claim.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Deserializes a JSON object to a struct `T`. An array, which serde accepts for a struct too, is rejected.
pub(super) fn read_object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, TokenError> {
    let is_object = json.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{');
    serde_json::from_str(json).ok().filter(|_| is_object).ok_or(TokenError::Malformed)
}

fn required<'a>(claim: &'static str, raw: Option<&'a RawValue>) -> Result<&'a RawValue, TokenError> {
    raw.ok_or(TokenError::MissingClaim(claim))
}

fn text(claim: &'static str, raw: &RawValue) -> Result<String, TokenError> {
    serde_json::from_str(raw.get()).map_err(|_| match is_text(raw) {
        true => TokenError::LoneSurrogate(claim),
        false => TokenError::InvalidClaim(claim),
    })
}

fn texts(claim: &'static str, raw: &RawValue) -> Result<Vec<String>, TokenError> {
    serde_json::from_str(raw.get()).map_err(|_| match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        Ok(items) if items.iter().all(|item| is_text(item)) => TokenError::LoneSurrogate(claim),
        _ => TokenError::InvalidClaim(claim),
    })
}

/// Whether the value is a string. The only well-formed strings that serde_json rejects are those with lone surrogates.
fn is_text(raw: &RawValue) -> bool {
    raw.get().starts_with('"')
}

fn time(claim: &'static str, raw: &RawValue) -> Result<f64, TokenError> {
    let seconds = raw.get().parse(); // exact, unlike serde_json's parser
    seconds.ok().filter(|seconds| TIMES_S.contains(seconds)).ok_or(TokenError::InvalidClaim(claim))
}
