//! What a token says.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use super::{
    ChannelName, Generation, TokenError,
    attachment::{has_lone_surrogate, read_attachment},
    limits::{TIMES_S, check_attachment_depth, check_subject, check_tags},
};
use crate::wire::{Reader, Value, push_f64, push_member, push_string, push_strings, read_members};

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
    subject: Option<Box<str>>,
    procedures: Vec<String>,
    attachment: Option<Box<str>>,
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

    /// The subject (`sub`): who the client is, as the issuer says; `None` if the token has none.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
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
    /// accept. A lone surrogate in it reads as U+FFFD.
    ///
    /// # Errors
    ///
    /// [`TokenError::Attachment`] if the attachment is not a `T`.
    pub fn attachment<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        read_attachment(self.attachment_json()).map_err(TokenError::Attachment)
    }

    /// The attachment's JSON as it stands in the token; `None` if there is none. It may hold escapes of lone surrogates, which
    /// serde_json rejects and [`attachment`](Self::attachment) replaces.
    pub fn attachment_json(&self) -> Option<&str> {
        self.attachment.as_deref()
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
    pub(super) subject: Option<String>,
    pub(super) procedures: Vec<String>,
    pub(super) attachment: Option<Box<str>>,
    pub(super) issued_at_s: u64,
    pub(super) expires_at_s: u64,
}

impl TryFrom<NewClaims> for Claims {
    type Error = TokenError;

    fn try_from(new: NewClaims) -> Result<Self, TokenError> {
        check_tags(&new.tags)?;
        new.subject.as_deref().map_or(Ok(()), check_subject)?;
        if let Some(attachment) = &new.attachment {
            check_attachment_depth(attachment)?;
            if has_lone_surrogate(attachment) {
                return Err(TokenError::LoneSurrogate("att"));
            }
        }
        let expires_at = new.expires_at_s as f64;
        if !TIMES_S.contains(&expires_at) {
            return Err(TokenError::InvalidLifetime);
        }
        Ok(Self {
            generation: new.generation,
            channel: new.channel,
            tags: new.tags,
            subject: new.subject.map(Box::from),
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
        let mut raw = RawClaims::default();
        read_members(json, &mut |reader, name| {
            let value = reader.raw()?;
            match raw.named(name) {
                Some(claim @ None) => *claim = Some(value),
                Some(Some(_)) => return Err(TokenError::Malformed),
                None => {}
            }
            Ok(())
        })?;
        let required = |claim| raw.get(claim).ok_or(TokenError::MissingClaim(claim));
        let attachment = raw.get("att");
        let claims = Self {
            generation,
            tags: match (generation, raw.get("tags")) {
                (Generation::Two, Some(tags)) => texts("tags", tags)?,
                _ => Vec::new(), // generation 1 has none
            },
            channel: text("chn", required("chn")?)?.try_into()?,
            subject: raw.get("sub").map(|sub| text("sub", sub)).transpose()?.map(Box::from),
            procedures: match (generation, raw.get("rpc")) {
                (Generation::Two, None) => Vec::new(),
                _ => texts("rpc", required("rpc")?)?,
            },
            attachment: attachment.map(Box::from),
            issued_at: time("iat", required("iat")?)?,
            expires_at: time("exp", required("exp")?)?,
            not_before: raw.get("nbf").map(|nbf| time("nbf", nbf)).transpose()?,
        };
        claims.subject().map_or(Ok(()), check_subject)?;
        attachment.map_or(Ok(()), check_attachment_depth)?;
        Ok(claims)
    }

    /// The payload, with its members in the order in which the oRPC packages write them.
    pub(crate) fn to_payload(&self) -> String {
        let mut json = String::from("{\"chn\":");
        push_string(&mut json, self.channel.as_str());
        push_member(&mut json, "rpc", |json| push_strings(json, &self.procedures));
        if !self.tags.is_empty() {
            push_member(&mut json, "tags", |json| push_strings(json, &self.tags));
        }
        if let Some(attachment) = &self.attachment {
            push_member(&mut json, "att", |json| json.push_str(attachment));
        }
        if let Some(subject) = &self.subject {
            push_member(&mut json, "sub", |json| push_string(json, subject));
        }
        push_member(&mut json, "iat", |json| push_f64(json, self.issued_at));
        push_member(&mut json, "exp", |json| push_f64(json, self.expires_at));
        if let Some(not_before) = self.not_before {
            push_member(&mut json, "nbf", |json| push_f64(json, not_before));
        }
        json.push('}');
        json
    }
}

/// The attachment may be personal and does not belong in logs; that there is one does.
impl std::fmt::Debug for Claims {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claims")
            .field("generation", &self.generation)
            .field("channel", &self.channel)
            .field("tags", &self.tags)
            .field("subject", &self.subject)
            .field("procedures", &self.procedures)
            .field("attachment", &self.attachment.as_ref().map(|_| format_args!("..")))
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .field("not_before", &self.not_before)
            .finish()
    }
}

const MS_PER_SECOND: f64 = 1_000.0;

/// Each claim first as raw JSON, so that an error can name the claim and never quotes its value.
#[derive(Default)]
struct RawClaims<'a>([Option<&'a str>; NAMES.len()]);

/// The claims that are looked at.
const NAMES: [&str; 8] = ["chn", "rpc", "tags", "att", "sub", "iat", "exp", "nbf"];

impl<'a> RawClaims<'a> {
    fn named(&mut self, name: &str) -> Option<&mut Option<&'a str>> {
        NAMES.iter().zip(&mut self.0).find(|(other, _)| **other == name).map(|(_, claim)| claim)
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        NAMES.iter().zip(self.0).find(|(other, _)| **other == name).and_then(|(_, claim)| claim)
    }
}

fn text(claim: &'static str, raw: &str) -> Result<String, TokenError> {
    Reader::new(raw).text().map(Cow::into_owned).map_err(|_| match Reader::new(raw).value() {
        // The reader of values replaces lone surrogates, the reader of texts rejects them.
        Ok(Value::String(_)) => TokenError::LoneSurrogate(claim),
        _ => TokenError::InvalidClaim(claim),
    })
}

fn texts(claim: &'static str, raw: &str) -> Result<Vec<String>, TokenError> {
    Reader::new(raw).texts().map_err(|_| match Reader::new(raw).value() {
        Ok(Value::Array(items)) if items.iter().all(|item| matches!(item, Value::String(_))) => {
            TokenError::LoneSurrogate(claim)
        }
        _ => TokenError::InvalidClaim(claim),
    })
}

fn time(claim: &'static str, raw: &str) -> Result<f64, TokenError> {
    let seconds = Reader::new(raw).float();
    seconds.ok().filter(|seconds| TIMES_S.contains(seconds)).ok_or(TokenError::InvalidClaim(claim))
}
