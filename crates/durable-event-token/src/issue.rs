//! Issuing tokens, for servers.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::value::RawValue;

use super::claims::NewClaims;
use super::limits::LIFETIME_S;
use super::time::milliseconds;
use super::verify::check_length;
use super::{ChannelName, Claims, ClientKind, InvalidChannelName, SigningKeys, TokenError, jws, signed_json};

/// The entry point for issuing a token, see [`Token::builder`].
///
/// ```
/// use durable_event_token::{ChannelName, SigningKeys, Token};
/// use std::time::SystemTime;
///
/// let channel: ChannelName = "some-room".parse()?;
/// let token: String = Token::builder(channel).sign(&SigningKeys::parse("a secret", None)?, SystemTime::now())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Token;

impl Token {
    /// Returns a builder for a token that allows a client to receive the events of `channel`. The builder adds further
    /// permissions.
    ///
    /// [`TokenBuilder::sign`] reports an invalid channel name.
    ///
    /// ```
    /// use durable_event_token::{SigningKeys, Token};
    /// use std::time::SystemTime;
    ///
    /// let keys = SigningKeys::parse("a secret", None)?;
    /// let now = SystemTime::now();
    /// let token = Token::builder("some-room").sign(&keys, now)?;
    /// assert!(token.starts_with("eyJhbGciOiJIUzI1NiJ9."));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn builder<C>(channel: C) -> TokenBuilder
    where
        C: TryInto<ChannelName>,
        InvalidChannelName: From<C::Error>,
    {
        let channel = channel.try_into().map_err(|error| TokenError::Channel(error.into()));
        TokenBuilder {
            client_kind: ClientKind::default(),
            channel,
            procedures: Vec::new(),
            tags: Vec::new(),
            subject: None,
            has_every_audience: false,
            attachment: None,
            error: None,
            lifetime: DEFAULT_LIFETIME,
        }
    }
}

/// Builds and signs a token. [`sign`](Self::sign) reports invalid values, so that calls can be chained.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use durable_event_token::{SigningKeys, Token};
/// # #[derive(serde::Serialize)]
/// # #[serde(rename_all = "camelCase")]
/// # struct User { user_id: String }
///
/// # let (user, now) = (User { user_id: "user-123".into() }, SystemTime::now());
/// let keys = SigningKeys::parse("a secret", None)?;
/// let token = Token::builder("some-room")
///     .procedures(["publishMessage", "router"])
///     .attachment(&user)
///     .lifetime(Duration::from_secs(3_600))
///     .sign(&keys, now)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a token is issued only by `sign`"]
pub struct TokenBuilder {
    client_kind: ClientKind,
    channel: Result<ChannelName, TokenError>,
    procedures: Vec<String>,
    tags: Vec<String>,
    subject: Option<String>,
    has_every_audience: bool,
    attachment: Option<Box<RawValue>>,
    error: Option<TokenError>,
    lifetime: Duration,
}

/// Shows whether there is an attachment, but not its content, which may be personal data and does not belong in logs.
impl std::fmt::Debug for TokenBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenBuilder")
            .field("client_kind", &self.client_kind)
            .field("channel", &self.channel)
            .field("procedures", &self.procedures)
            .field("tags", &self.tags)
            .field("subject", &self.subject)
            .field("has_every_audience", &self.has_every_audience)
            .field("attachment", &self.attachment.as_ref().map(|_| format_args!("..")))
            .field("error", &self.error)
            .field("lifetime", &self.lifetime)
            .finish()
    }
}

impl TokenBuilder {
    /// Adds procedures that the client may call, each by the first segment of its path: `router` allows `router.ping` too.
    /// Without procedures, the client can only receive events.
    ///
    /// The names are not checked. A name without a procedure has no effect until the Durable Object gets such a procedure.
    /// [`procedures_from`](Self::procedures_from) checks the names.
    pub fn procedures<P>(mut self, names: impl IntoIterator<Item = P>) -> Self
    where
        P: Into<String>,
    {
        self.procedures.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds procedures like [`procedures`](Self::procedures), and checks that each name is one of `existing`, the names of the
    /// Durable Object's procedures. [`sign`](Self::sign) reports an unknown name.
    ///
    /// ```
    /// use durable_event_token::{SigningKeys, Token, TokenError};
    /// use std::time::SystemTime;
    ///
    /// let keys = SigningKeys::parse("a secret", None)?;
    /// let existing = ["publishMessage", "router"];
    /// let misspelt = Token::builder("some-room").procedures_from(&existing, ["publish"]).sign(&keys, SystemTime::now());
    /// assert!(matches!(misspelt, Err(TokenError::UnknownProcedure(name)) if name == "publish"));
    /// # Ok::<(), durable_event_token::InvalidKey>(())
    /// ```
    pub fn procedures_from<P>(
        mut self,
        existing: &[impl AsRef<str>],
        names: impl IntoIterator<Item = P>,
    ) -> Self
    where
        P: Into<String>,
    {
        for name in names.into_iter().map(Into::into) {
            if existing.iter().any(|known| known.as_ref() == name) {
                self.procedures.push(name);
            } else {
                self.keep_error(TokenError::UnknownProcedure(name));
            }
        }
        self
    }

    /// Sets the attachment: application data about the client, such as a user id, which the Durable Object can read.
    ///
    /// **The client can read it.** A token is signed, not encrypted: the attachment cannot be changed, but everyone who has the
    /// token can read it, and tokens are sent in URLs. Store ids in it, never secrets.
    ///
    /// The attachment is serialized to JSON. A token is at most 8 KiB; in a `DurableEventIterator` token, the attachment takes
    /// 4/3 of its size.
    pub fn attachment<T: Serialize + ?Sized>(mut self, attachment: &T) -> Self {
        match serde_json::value::to_raw_value(attachment) {
            Ok(json) => self.attachment = Some(json),
            Err(error) => self.keep_error(TokenError::Attachment(error.into())),
        }
        self
    }

    /// Sets the kind of client that the token is for. Default: [`ClientKind::DurableEventIterator`].
    pub fn for_clients(mut self, kind: ClientKind) -> Self {
        self.client_kind = kind;
        self
    }

    /// Returns the kind of client that the token is for.
    #[must_use]
    pub fn client_kind(&self) -> ClientKind {
        self.client_kind
    }

    /// Sets the subject (the JWT claim `sub`), which identifies the user: 1–256 UTF-8 bytes, such as a user id. The client can
    /// read it.
    ///
    /// Limits per subject count all sockets of one user together, independent of the connection ids that clients choose.
    ///
    /// ```
    /// use durable_event_token::{SigningKeys, Token};
    /// use std::time::SystemTime;
    ///
    /// let keys = SigningKeys::parse("a secret", None)?;
    /// let token = Token::builder("some-room").subject("user-123").sign(&keys, SystemTime::now())?;
    /// assert_eq!(keys.verify(&token, SystemTime::now())?.subject(), Some("user-123"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Adds tags, by which events can be addressed to a subset of clients: at most ten, each 1–256 UTF-8 bytes. Only tokens for
    /// [`ClientKind::DurableIterator`] can have tags; [`sign`](Self::sign) rejects tags on others.
    pub fn tags<T>(mut self, tags: impl IntoIterator<Item = T>) -> Self
    where
        T: Into<String>,
    {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }

    /// Grants the events of every audience (the claim `dei:audience`): also events that are addressed to other clients. For
    /// servers and Workers that process all events of a channel, not for users.
    ///
    /// ```
    /// use durable_event_token::{SigningKeys, Token};
    /// use std::time::SystemTime;
    ///
    /// let keys = SigningKeys::parse("a secret", None)?;
    /// let token = Token::builder("some-room").every_audience().sign(&keys, SystemTime::now())?;
    /// assert!(keys.verify(&token, SystemTime::now())?.has_every_audience());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn every_audience(mut self) -> Self {
        self.has_every_audience = true;
        self
    }

    /// Sets how long the token is valid: 1 second to 10^12 seconds, rounded up to whole seconds. Default: 24 hours.
    ///
    /// A token cannot be revoked: a permission change takes effect after at most one token lifetime. Clients fetch a new token
    /// automatically.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Signs the token and returns it. `now` is the time of issue.
    ///
    /// Tokens with equal claims that are issued in the same second are equal.
    ///
    /// # Errors
    ///
    /// For values that a Durable Object would reject: [`TokenError::Channel`], [`TooManyTags`](TokenError::TooManyTags),
    /// [`InvalidTag`](TokenError::InvalidTag), [`TagsNotSupported`](TokenError::TagsNotSupported),
    /// [`InvalidSubject`](TokenError::InvalidSubject), [`Attachment`](TokenError::Attachment),
    /// [`AttachmentTooDeep`](TokenError::AttachmentTooDeep), [`LoneSurrogate`](TokenError::LoneSurrogate),
    /// [`InvalidLifetime`](TokenError::InvalidLifetime), and [`TooLong`](TokenError::TooLong) for a token of more than 8 KiB.
    ///
    /// [`UnknownProcedure`](TokenError::UnknownProcedure) for an unknown name in [`procedures_from`](Self::procedures_from).
    pub fn sign(self, keys: &SigningKeys, now: SystemTime) -> Result<String, TokenError> {
        let channel = self.channel?;
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.client_kind == ClientKind::DurableEventIterator && !self.tags.is_empty() {
            return Err(TokenError::TagsNotSupported);
        }
        let issued_at_s = milliseconds(now) / 1_000;
        let claims = Claims::try_from(NewClaims {
            client_kind: self.client_kind,
            channel,
            tags: self.tags,
            subject: self.subject,
            has_every_audience: self.has_every_audience,
            procedures: self.procedures,
            attachment: self.attachment,
            issued_at_s,
            expires_at_s: issued_at_s.saturating_add(whole_seconds(self.lifetime)?),
        })?;
        let payload = claims.to_payload()?;
        let token = match self.client_kind {
            ClientKind::DurableEventIterator => jws::seal(&payload, keys),
            ClientKind::DurableIterator => signed_json::seal(payload, keys),
        };
        check_length(&token)?;
        Ok(token)
    }

    /// Keeps the first error.
    fn keep_error(&mut self, error: TokenError) {
        self.error.get_or_insert(error);
    }
}

/// The default lifetime of the oRPC packages.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

fn whole_seconds(lifetime: Duration) -> Result<u64, TokenError> {
    let fraction = u64::from(lifetime.subsec_nanos() > 0);
    match (lifetime.as_secs(), lifetime.as_secs().saturating_add(fraction)) {
        (whole, seconds) if LIFETIME_S.contains(&whole) && LIFETIME_S.contains(&seconds) => Ok(seconds),
        _ => Err(TokenError::InvalidLifetime),
    }
}
