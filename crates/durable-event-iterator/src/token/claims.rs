//! What a token says.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{ChannelName, Generation, TokenError, is_object};

/// What a verified token says.
///
/// Only [`SigningKeys::verify`](super::SigningKeys::verify) makes one, so whoever holds it need not ask where it is
/// from. It may have expired since.
///
/// ```
/// use durable_event_iterator::{SigningKeys, Token};
/// # use serde_json::json;
///
/// let keys = SigningKeys::parse("a secret", None)?;
/// let token = Token::builder("some-room")
///     .procedures(["publishMessage"])
///     .attachment(&json!({ "userId": "user-123" }))
///     .sign(&keys, 1_800_000_000_000)?;
///
/// let claims = keys.verify(&token, 1_800_000_000_000)?;
/// assert!(claims.allows("publishMessage") && !claims.allows("router"));
/// assert_eq!(claims.attachment::<serde_json::Value>()?["userId"], "user-123");
/// assert_eq!(claims.expires_at() - claims.issued_at(), 86_400.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Claims {
    generation: Generation,
    channel: ChannelName,
    tags: Vec<String>,
    procedures: Vec<String>,
    attachment: Option<Box<RawValue>>,
    issued_at: f64,
    expires_at: f64,
    not_before: Option<f64>,
}

impl Claims {
    /// Which generation of clients the token is for.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The tags, by which events can be for some clients only; none in generation 1.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The one channel that the token opens (`chn`).
    pub fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// The procedures that the token's owner may call (`rpc`), by the first segment of their path: `router` allows
    /// `router.ping` too.
    pub fn procedures(&self) -> &[String] {
        &self.procedures
    }

    /// Whether `procedure`, the first segment of a path, may be called.
    pub fn allows(&self, procedure: &str) -> bool {
        self.procedures.iter().any(|allowed| allowed == procedure)
    }

    /// The application's attachment (`att`) as a `T`. A token without one reads as `null`, which `Option<T>` and `()`
    /// accept.
    ///
    /// # Errors
    ///
    /// [`TokenError::Attachment`] if the attachment is not a `T`.
    pub fn attachment<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        serde_json::from_str(self.attachment_json().unwrap_or("null")).map_err(TokenError::Attachment)
    }

    /// The attachment's JSON as it stands in the token; `None` if there is none.
    pub fn attachment_json(&self) -> Option<&str> {
        self.attachment.as_deref().map(RawValue::get)
    }

    /// When the token was issued (`iat`), in seconds since 1970.
    pub fn issued_at(&self) -> f64 {
        self.issued_at
    }

    /// When the token's rights end (`exp`), in seconds since 1970.
    pub fn expires_at(&self) -> f64 {
        self.expires_at
    }

    /// When the token's rights begin (`nbf`), in seconds since 1970; `None`: at once.
    pub fn not_before(&self) -> Option<f64> {
        self.not_before
    }

    /// Whether the token's rights are over at `now_ms`, in milliseconds since 1970: from the instant of `exp` on in
    /// generation 1, after it in generation 2.
    pub fn is_expired_at(&self, now_ms: u64) -> bool {
        let (end, now) = (self.expires_at * MS_PER_SECOND, now_ms as f64);
        match self.generation {
            Generation::One => end <= now,
            Generation::Two => end < now,
        }
    }

    /// Whether the token's rights have begun at `now_ms`. Told in whole seconds, as the oRPC packages do, so that a
    /// fraction in `nbf` never opens the door earlier here than there.
    pub(super) fn has_begun_at(&self, now_ms: u64) -> bool {
        self.not_before.is_none_or(|not_before| not_before <= (now_ms as f64 / MS_PER_SECOND).floor())
    }
}

/// For the issuer, who sets only these.
pub(super) struct NewClaims {
    pub(super) generation: Generation,
    pub(super) channel: ChannelName,
    pub(super) tags: Vec<String>,
    pub(super) procedures: Vec<String>,
    pub(super) attachment: Option<Box<RawValue>>,
    pub(super) issued_at_s: u64,
    pub(super) expires_at_s: u64,
}

impl TryFrom<NewClaims> for Claims {
    type Error = TokenError;

    fn try_from(new: NewClaims) -> Result<Self, TokenError> {
        if let Some(attachment) = &new.attachment {
            check_nesting(attachment)?;
        }
        let expires_at = new.expires_at_s as f64;
        if !TIMES_S.contains(&expires_at) {
            return Err(TokenError::InvalidLifetime);
        }
        Ok(Self {
            generation: new.generation,
            channel: new.channel,
            tags: new.tags,
            procedures: new.procedures,
            attachment: new.attachment,
            issued_at: new.issued_at_s as f64,
            expires_at,
            not_before: None,
        })
    }
}

/// The payload JSON, in which both generations write their claims.
impl Claims {
    /// The claims in the payload of a token whose signature is already verified, or that this object stored itself.
    ///
    /// A claim that stands there twice is refused, because two readers could disagree about which one counts. Claims
    /// of other names are ignored.
    pub(crate) fn from_payload(json: &str, generation: Generation) -> Result<Self, TokenError> {
        if !is_object(json) {
            return Err(TokenError::Malformed);
        }
        let payload: Payload<'_> = serde_json::from_str(json).map_err(|_| TokenError::Malformed)?;
        let channel: String = required("chn", payload.chn)?;
        let claims = Self {
            generation,
            tags: match (generation, payload.tags) {
                (Generation::Two, Some(tags)) => read("tags", tags)?,
                _ => Vec::new(), // generation 1 has none
            },
            channel: channel.try_into().map_err(|_| TokenError::InvalidClaim("chn"))?,
            procedures: match (generation, payload.rpc) {
                (Generation::Two, None) => Vec::new(),
                (_, rpc) => required("rpc", rpc)?,
            },
            attachment: payload.att.map(ToOwned::to_owned),
            issued_at: time("iat", required("iat", payload.iat)?)?,
            expires_at: time("exp", required("exp", payload.exp)?)?,
            not_before: payload.nbf.map(|raw| time("nbf", read("nbf", raw)?)).transpose()?,
        };
        if let Some(attachment) = &claims.attachment {
            check_nesting(attachment)?;
        }
        Ok(claims)
    }

    /// The payload, with its members in the order in which the oRPC packages write them.
    pub(crate) fn to_payload(&self) -> Result<String, TokenError> {
        let payload = WrittenPayload {
            chn: self.channel.as_str(),
            rpc: &self.procedures,
            tags: &self.tags,
            att: self.attachment.as_deref(),
            iat: Seconds(self.issued_at),
            exp: Seconds(self.expires_at),
            nbf: self.not_before.map(Seconds),
        };
        serde_json::to_string(&payload).map_err(TokenError::Attachment)
    }
}

/// The attachment may be personal and does not belong in logs; that there is one does.
impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims")
            .field("generation", &self.generation)
            .field("channel", &self.channel)
            .field("tags", &self.tags)
            .field("procedures", &self.procedures)
            .field("attachment", &self.attachment.as_ref().map(|_| format_args!("..")))
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("not_before", &self.not_before)
            .finish()
    }
}

const MS_PER_SECOND: f64 = 1_000.0;

/// Times that are taken, in seconds since 1970: none before that, and none beyond the integers a JS number tells apart
/// (2^53 - 1; issuers write `Number.MAX_SAFE_INTEGER` for "never").
const TIMES_S: RangeInclusive<f64> = 0.0..=9_007_199_254_740_991.0;

/// The deepest nesting of an attachment: what serde_json reads within its recursion limit of 128.
const MAX_ATTACHMENT_NESTING: usize = 127;

/// Each claim first as raw JSON, so that an error can name the claim and never quotes its value.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(default, borrow, deserialize_with = "present")]
    chn: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    rpc: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    tags: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    att: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    iat: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    exp: Option<&'a RawValue>,
    #[serde(default, borrow, deserialize_with = "present")]
    nbf: Option<&'a RawValue>,
}

/// `null` is a value here: an attachment that is `null` is there, a time that is `null` is wrong.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn required<T: DeserializeOwned>(claim: &'static str, raw: Option<&RawValue>) -> Result<T, TokenError> {
    read(claim, raw.ok_or(TokenError::MissingClaim(claim))?)
}

fn read<T: DeserializeOwned>(claim: &'static str, raw: &RawValue) -> Result<T, TokenError> {
    serde_json::from_str(raw.get()).map_err(|_| TokenError::InvalidClaim(claim))
}

fn time(claim: &'static str, seconds: f64) -> Result<f64, TokenError> {
    if TIMES_S.contains(&seconds) { Ok(seconds) } else { Err(TokenError::InvalidClaim(claim)) }
}

/// Counts brackets outside strings, without recursion; raw values are known to be well-formed.
fn check_nesting(attachment: &RawValue) -> Result<(), TokenError> {
    let mut depth = 0_usize;
    let mut bytes = attachment.get().bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                while bytes
                    .next()
                    .is_some_and(|byte| byte != b'"' && (byte != b'\\' || bytes.next().is_some()))
                {
                }
            }
            b'[' | b'{' => depth = depth.saturating_add(1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_ATTACHMENT_NESTING {
            return Err(TokenError::AttachmentTooDeep);
        }
    }
    Ok(())
}

#[derive(Serialize)]
struct WrittenPayload<'a> {
    chn: &'a str,
    rpc: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    att: Option<&'a RawValue>,
    iat: Seconds,
    exp: Seconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<Seconds>,
}

/// A time of [`TIMES_S`], written as JS writes it: whole seconds without `.0`.
struct Seconds(f64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 {
            serializer.serialize_u64(self.0 as u64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}
