//! What the object keeps with a socket: it outlives hibernation, unlike everything else about the socket.

use crate::{
    token::{Claims, Generation},
    wire::{DeserializeError, Reader, push_f64, push_member, push_string, push_strings, read_members},
};
use std::fmt;

/// The layout that [`Session::encode`] writes. Version 1 was also written without its version, before there was one.
/// A reader of an older version ignores members that it does not know, so only what it would misread needs a new version.
const VERSION: u64 = 1;

/// The Workers runtime takes 16,384 bytes of its own encoding, which adds a few bytes to those of one byte array. The version is
/// not counted: what fitted without it still fits.
const MAX_BYTES: usize = 16_300;

/// Room for a subscription, so that one can always be added: an id of 64 bytes, each escaped as `\u0000`, and the keys.
const SUBSCRIPTION_BYTES: usize = 64 * 6 + 64;

/// A socket's token, connection id, subscription and the application's own part.
///
/// Stored as JSON in UTF-8, with the version of its layout. Only [`Session::decode`] reads it, for messages and for live events
/// alike, once for each after waking.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    pub(crate) claims: SessionClaims,
    /// The id that the client sent, the same on each of its reconnects.
    pub(crate) connection: Option<String>,
    /// Whether the token's end ends its rights on the open socket.
    pub(crate) enforced: bool,
    pub(crate) subscription: Option<Subscription>,
    /// The application's own part.
    pub(crate) application: Option<Application>,
}

/// What the application keeps, in the wire's serialized form, so that a Date in it stays one.
#[derive(Clone, PartialEq)]
pub(crate) struct Application {
    pub(crate) json: Box<str>,
    pub(crate) meta: Option<Box<str>>,
}

/// The claims that matter after the upgrade.
#[derive(Clone, PartialEq)]
pub(crate) struct SessionClaims {
    /// The procedures that the client may call.
    pub(crate) rpc: Vec<String>,
    /// The token's attachment.
    pub(crate) att: Option<Box<str>>,
    pub(crate) tags: Vec<String>,
    /// Who the client is, as the token's issuer says.
    pub(crate) subject: Option<Box<str>>,
    /// Whether the token is one of generation 2.
    pub(crate) is_second: bool,
    /// Seconds since the epoch.
    pub(crate) iat: f64,
    /// Seconds since the epoch.
    pub(crate) exp: f64,
}

/// What the application keeps does not belong in logs.
impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Application(..)")
    }
}

/// The token's attachment does not belong in logs; that there is one does.
impl fmt::Debug for SessionClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionClaims")
            .field("rpc", &self.rpc)
            .field("att", &self.att.as_ref().map(|_| format_args!("..")))
            .field("tags", &self.tags)
            .field("subject", &self.subject)
            .field("is_second", &self.is_second)
            .field("iat", &self.iat)
            .field("exp", &self.exp)
            .finish()
    }
}

impl From<&Claims> for SessionClaims {
    fn from(claims: &Claims) -> Self {
        Self {
            rpc: claims.procedures().to_vec(),
            // It was read as JSON, and goes back into JSON as it is.
            att: claims.attachment_json().map(Box::from),
            tags: claims.tags().to_vec(),
            subject: claims.subject().map(Box::from),
            is_second: claims.generation() == Generation::Two,
            iat: claims.issued_at(),
            exp: claims.expires_at(),
        }
    }
}

impl SessionClaims {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (mut rpc, mut tags, mut att, mut is_second) = (Vec::new(), Vec::new(), None, false);
        let (mut subject, mut iat, mut exp) = (None, None, None);
        reader.members(&mut |reader, key| {
            match key {
                "rpc" => rpc = reader.texts()?,
                "tags" => tags = reader.texts()?,
                "att" => att = Some(reader.raw()?.into()),
                "sub" => subject = Some(reader.text()?.into()),
                "is_second" => is_second = reader.boolean()?,
                "iat" => iat = Some(reader.float()?),
                "exp" => exp = Some(reader.float()?),
                _ => drop(reader.raw()?),
            }
            Ok::<_, DeserializeError>(())
        })?;
        let (iat, exp) = iat.zip(exp).ok_or(Unreadable::Layout)?;
        Ok(Self { rpc, att, tags, subject, is_second, iat, exp })
    }

    fn push(&self, text: &mut String) {
        text.push_str("{\"rpc\":");
        push_strings(text, &self.rpc);
        if let Some(att) = &self.att {
            push_member(text, "att", |text| text.push_str(att));
        }
        if !self.tags.is_empty() {
            push_member(text, "tags", |text| push_strings(text, &self.tags));
        }
        if let Some(subject) = &self.subject {
            push_member(text, "sub", |text| push_string(text, subject));
        }
        if self.is_second {
            push_member(text, "is_second", |text| text.push_str("true"));
        }
        push_member(text, "iat", |text| push_f64(text, self.iat));
        push_member(text, "exp", |text| push_f64(text, self.exp));
        text.push('}');
    }

    /// The first millisecond at which the token has no rights any more: those of generation 2 include their last one.
    fn ends_at_ms(&self) -> f64 {
        let end = self.exp * 1_000.0;
        if self.is_second { end + 1.0 } else { end }
    }
}

/// A `/subscribe` call that stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The `i` that the client chose for the call.
    pub(crate) id: String,
    /// False until everything that was missed has been sent; until then nothing is sent live.
    pub(crate) live: bool,
}

impl Application {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (mut json, mut meta) = (None, None);
        reader.members(&mut |reader, key| {
            match key {
                "json" => json = Some(reader.raw()?.into()),
                "meta" => meta = Some(reader.raw()?.into()),
                _ => drop(reader.raw()?),
            }
            Ok::<_, DeserializeError>(())
        })?;
        Ok(Self { json: json.ok_or(Unreadable::Layout)?, meta })
    }
}

impl Subscription {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Unreadable> {
        let (mut id, mut live) = (None, None);
        reader.members(&mut |reader, key| {
            match key {
                "id" => id = Some(reader.text()?.into_owned()),
                "live" => live = Some(reader.boolean()?),
                _ => drop(reader.raw()?),
            }
            Ok::<_, DeserializeError>(())
        })?;
        let (id, live) = id.zip(live).ok_or(Unreadable::Layout)?;
        Ok(Self { id, live })
    }
}

impl Session {
    /// The session of a socket that was just accepted.
    pub(crate) fn new(claims: &Claims, connection: Option<String>, enforced: bool) -> Self {
        Self { claims: claims.into(), connection, enforced, subscription: None, application: None }
    }

    /// Whether the token's rights have ended.
    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms() <= now_ms as f64
    }

    /// The first millisecond at which the session has no rights any more, since the epoch; infinite if they never end.
    pub(crate) fn expires_ms(&self) -> f64 {
        if self.enforced { self.claims.ends_at_ms() } else { f64::INFINITY }
    }

    /// The bytes to keep.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, AttachmentTooLarge> {
        let mut text = format!("{{\"version\":{VERSION}");
        let uncounted = text.len();
        push_member(&mut text, "claims", |text| self.claims.push(text));
        push_member(&mut text, "enforced", |text| {
            text.push_str(if self.enforced { "true" } else { "false" })
        });
        if let Some(connection) = &self.connection {
            push_member(&mut text, "connection", |text| push_string(text, connection));
        }
        if let Some(Application { json, meta }) = &self.application {
            push_member(&mut text, "application", |text| {
                text.push_str("{\"json\":");
                text.push_str(json);
                if let Some(meta) = meta {
                    push_member(text, "meta", |text| text.push_str(meta));
                }
                text.push('}');
            });
        }
        // The same whether there is a subscription or not: one must always be removable, and addable.
        let bytes = text.len().saturating_sub(uncounted).saturating_add(SUBSCRIPTION_BYTES);
        if bytes > MAX_BYTES {
            return Err(AttachmentTooLarge { bytes });
        }
        if let Some(Subscription { id, live }) = &self.subscription {
            push_member(&mut text, "subscription", |text| {
                text.push_str("{\"id\":");
                push_string(text, id);
                text.push_str(if *live { ",\"live\":true}" } else { ",\"live\":false}" });
            });
        }
        text.push('}');
        Ok(text.into_bytes())
    }

    /// The session kept in these bytes.
    ///
    /// # Errors
    /// The bytes are not ours, or of a version that has another layout. Nothing of what is there is left out: a subscription that
    /// cannot be read would be one that silently receives nothing any more.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let text = str::from_utf8(bytes).map_err(|_| Unreadable::Layout)?;
        let mut claims = None;
        let mut enforced = None;
        let (mut connection, mut subscription, mut application) = (None, None, None);
        read_members(text, &mut |reader, key| {
            match key {
                "version" => match reader.unsigned()? {
                    VERSION => {}
                    version => return Err(Unreadable::Version(version)),
                },
                "claims" => claims = Some(SessionClaims::read(reader)?),
                "enforced" => enforced = Some(reader.boolean()?),
                "connection" => connection = Some(reader.text()?.into_owned()),
                "subscription" => subscription = Some(Subscription::read(reader)?),
                "application" => application = Some(Application::read(reader)?),
                _ => drop(reader.raw()?),
            }
            Ok(())
        })?;
        let (claims, enforced) = claims.zip(enforced).ok_or(Unreadable::Layout)?;
        Ok(Self { claims, connection, enforced, subscription, application })
    }

    /// About how many bytes of memory the session takes.
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
            optional(self.claims.att.as_deref()),
            optional(self.claims.subject.as_deref()),
            optional(self.connection.as_deref()),
            application.map_or(0, |application| application.json.len()),
            optional(application.and_then(|application| application.meta.as_deref())),
        ]
        .into_iter()
        .fold(0, usize::saturating_add)
    }
}

/// What a session takes besides its texts, in bytes: itself, and what the allocator needs for each of its parts.
const SESSION_BYTES: usize = 512;
/// What a text in a list takes besides its own bytes.
const TEXT_BYTES: usize = 32;

/// An attachment that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// Not what any version has written.
    Layout,
    /// Of another version than [`VERSION`].
    Version(u64),
}

impl From<DeserializeError> for Unreadable {
    fn from(_: DeserializeError) -> Self {
        Self::Layout // what is wrong with it may repeat parts of it
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layout => f.write_str("not a session"),
            Self::Version(version) => write!(f, "layout version {version}, expected {VERSION}"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The token's attachment, the application's part and the rest do not fit the platform's limit together.
#[derive(Debug)]
pub(crate) struct AttachmentTooLarge {
    bytes: usize,
}

impl fmt::Display for AttachmentTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "token attachment and socket attachment need {} bytes together, {MAX_BYTES} are possible",
            self.bytes
        )
    }
}

impl std::error::Error for AttachmentTooLarge {}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(application: usize, subscription: Option<&str>) -> Session {
        let json = format!("{:?}", "x".repeat(application)).into();
        Session {
            claims: SessionClaims {
                rpc: vec![],
                att: None,
                tags: vec![],
                subject: None,
                is_second: false,
                iat: 1.0,
                exp: 2.0,
            },
            connection: None,
            enforced: true,
            subscription: subscription.map(|id| Subscription { id: id.into(), live: true }),
            application: Some(Application { json, meta: None }),
        }
    }

    #[test]
    fn whether_it_fits_does_not_depend_on_the_subscription() {
        let longest = "\u{1}".repeat(64);
        let fits = |size| session(size, None).encode().is_ok();
        let limit = (0..MAX_BYTES).rfind(|size| fits(*size)).unwrap();
        for subscription in [None, Some("0"), Some(longest.as_str())] {
            assert!(session(limit, subscription).encode().is_ok_and(|bytes| bytes.len() <= MAX_BYTES));
            assert!(session(limit + 1, subscription).encode().is_err());
        }
    }

    #[test]
    fn nothing_of_attachments_is_shown() {
        let mut session = session(3, None);
        session.claims.att = Some("\"someone@example.org\"".into());
        let shown = format!("{session:?} {session:#?}");
        assert!(!shown.contains("xxx") && !shown.contains("example.org"), "{shown}");
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut whole = session(3, Some("a\"b"));
        whole.claims.subject = Some("user \"1\"".into());
        let bytes = whole.encode().unwrap();
        let decoded = Session::decode(&bytes).unwrap();
        assert_eq!(decoded, whole);
    }

    #[test]
    fn rights_end_at_exp_in_generation_1_and_after_it_in_generation_2() {
        let mut session = session(0, None);
        assert!(!session.is_expired(1_999) && session.is_expired(2_000));
        session.claims.is_second = true;
        assert!(!session.is_expired(2_000) && session.is_expired(2_001));
        session.enforced = false;
        assert!(!session.is_expired(u64::MAX));
    }

    /// What an earlier release has written, and what none has: the same as `tests/attachments.test.ts` puts on real sockets.
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
        serde_json::from_str(include_str!("../../../tests/attachments.json")).unwrap()
    }

    #[test]
    fn what_an_earlier_release_has_written_is_read_with_all_that_is_in_it() {
        for Attachment { name, text } in corpus().recorded {
            let session = Session::decode(text.as_bytes()).unwrap();
            let again = String::from_utf8(session.encode().unwrap()).unwrap();
            assert_eq!(again, text.replacen('{', r#"{"version":1,"#, 1), "{name}");
            assert_eq!(Session::decode(again.as_bytes()).unwrap(), session, "{name}");
        }
    }

    #[test]
    fn what_no_release_has_written_is_unreadable() {
        for Attachment { name, text } in corpus().unreadable {
            let expected = if name.contains("version") { Unreadable::Version(2) } else { Unreadable::Layout };
            assert_eq!(Session::decode(text.as_bytes()), Err(expected), "{name}");
        }
        for bytes in [b"".as_slice(), b"\xff", b"\xff\x0f\"\x01a"] {
            assert_eq!(Session::decode(bytes), Err(Unreadable::Layout), "{bytes:?}");
        }
    }

    #[test]
    fn the_version_takes_no_room_from_what_fitted_before() {
        let fits = |size| session(size, None).encode().is_ok();
        let limit = (0..MAX_BYTES).rfind(|size| fits(*size)).unwrap();
        let before =
            r#"{"claims":{"rpc":[],"iat":1,"exp":2},"enforced":true,"application":{"json":""}"#.len();
        assert_eq!(limit, MAX_BYTES - SUBSCRIPTION_BYTES - before);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_decode_fail_otherwise(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Session::decode(&bytes);
        }
    }
}
