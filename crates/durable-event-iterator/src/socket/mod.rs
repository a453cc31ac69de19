//! The application's handle of a client's socket.

pub(crate) mod close_code;
pub(crate) mod session;
pub(crate) mod session_store;

use crate::{
    error::{Code, Error, Result},
    runtime::RawSocket,
    socket::{
        session::{Application, RawJson, Session},
        session_store::SessionStore,
    },
    time::from_seconds,
};
use durable_event_token::read_attachment;
use durable_event_wire::{InvalidInput, Serialized, from_value, parse, serialize};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{fmt, marker::PhantomData, rc::Rc, time::SystemTime};

/// An attachment whose type the channel does not state: any JSON.
///
/// The compiler reports "expected `&Untyped`" if [`Socket::set_attachment`] is called on a channel without a third type parameter.
/// State the type: `Channel<Event, User, Profile>`, or `Channel<Event, (), Profile>` if tokens have no attachment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untyped(pub serde_json::Value);

/// Any JSON is `unknown` in TypeScript.
#[cfg(feature = "typescript")]
impl ts_rs::TS for Untyped {
    type WithoutGenerics = Self;
    type OptionInnerType = Self;

    fn name(_: &ts_rs::Config) -> String {
        "unknown".to_owned()
    }

    fn inline(config: &ts_rs::Config) -> String {
        Self::name(config)
    }
}

/// A handle of one client's socket: its connection id, token attachment (`T`) and custom attachment (`S`).
///
/// Both attachments survive hibernation. To send events to one client, publish them with an audience: the handle has no method
/// for sending, so that events keep their order and clients can resume.
pub struct Socket<T = Untyped, S = Untyped> {
    parts: Rc<Parts>,
    types: PhantomData<fn() -> (T, S)>,
}

/// What a handle needs of the channel of its socket.
pub(crate) trait Owner {
    /// Returns the sessions of the channel's sockets.
    fn sessions(&self) -> &SessionStore;
    /// Sets the state of a socket's member.
    fn set_presence(&self, ws: &RawSocket, state: Serialized) -> Result<()>;
}

struct Parts {
    owner: Rc<dyn Owner>,
    /// Constant, and available after the socket has closed.
    connection: Option<String>,
    raw: RawSocket,
}

impl<T, S> Clone for Socket<T, S> {
    fn clone(&self) -> Self {
        Self { parts: Rc::clone(&self.parts), types: PhantomData }
    }
}

impl<T, S> PartialEq for Socket<T, S> {
    fn eq(&self, other: &Self) -> bool {
        self.raw() == other.raw()
    }
}

impl<T, S> fmt::Debug for Socket<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket(..)") // attachments do not belong in logs
    }
}

impl<T, S> Socket<T, S> {
    pub(crate) fn new(owner: Rc<dyn Owner>, connection: Option<String>, raw: RawSocket) -> Self {
        Self { parts: Rc::new(Parts { owner, connection, raw }), types: PhantomData }
    }

    pub(crate) fn raw(&self) -> &RawSocket {
        &self.parts.raw
    }

    pub(crate) fn session(&self) -> Result<Rc<Session>> {
        self.parts.owner.sessions().read(self.raw())
    }

    /// Returns the connection id that the client sent, which stays the same when it reconnects.
    ///
    /// Returns `None` for `DurableEventIterator` clients other than ours, which send no connection id.
    #[must_use]
    pub fn connection_id(&self) -> Option<&str> {
        self.parts.connection.as_deref()
    }

    /// Returns the tags of the client's token. Tokens of `DurableEventIterator` clients have none.
    ///
    /// # Errors
    /// The socket has closed, and its attachments are deleted.
    pub fn tags(&self) -> Result<Vec<String>> {
        Ok(self.session()?.claims.tags.clone())
    }

    /// Returns the time at which the client's token expires.
    ///
    /// # Errors
    /// The socket has closed, and its attachments are deleted.
    pub fn expires_at(&self) -> Result<SystemTime> {
        Ok(from_seconds(self.session()?.claims.exp))
    }

    /// Returns the names of the procedures that the client's token allows.
    ///
    /// # Errors
    /// The socket has closed, and its attachments are deleted.
    pub fn allowed_procedures(&self) -> Result<Vec<String>> {
        Ok(self.session()?.claims.rpc.clone())
    }

    /// Sets the state of the client's member, in a channel with [presence](crate::Options::presence): any value of up to 1,024 bytes of
    /// JSON, without files. `&Undefined` removes it. Clients receive it as a change of the member.
    ///
    /// The state is stored with the socket. In [`on_subscribed`](crate::DurableEventIteratorObject::on_subscribed) and before the
    /// subscription, it is the state with which the member joins. A member with several sockets has the state that was set last.
    ///
    /// # Errors
    /// PAYLOAD_TOO_LARGE if the state is too large, BAD_REQUEST if it contains a file or blob, CONFLICT in a call over HTTP of a client
    /// that is not a member, and an internal error if presence is off or the socket has closed. The previous state is kept.
    pub fn set_presence<P: Serialize + ?Sized>(&self, state: &P) -> Result<()> {
        self.parts.owner.set_presence(self.raw(), serialize(state)?)
    }

    /// Closes the socket. The client reconnects and resumes while its token is valid.
    ///
    /// `reason` is truncated to 123 bytes. Does nothing if the socket has closed already or `code` is not allowed.
    pub fn close(&self, code: u16, reason: &str) {
        // An error means that the standard forbids the code, or that the socket has closed already.
        let _ = self.raw().close(code, truncated_reason(reason));
    }
}

/// Maximum length of a close reason, in bytes: a control frame holds 125 bytes (RFC 6455, section 5.5), two of them for the code.
const MAX_CLOSE_REASON: usize = 123;

/// Truncates the reason of a close frame.
pub(crate) fn truncated_reason(reason: &str) -> &str {
    reason.get(..reason.floor_char_boundary(MAX_CLOSE_REASON)).unwrap_or_default()
}

impl<T: DeserializeOwned, S> Socket<T, S> {
    /// Returns the token attachment, which the issuer of the token has set. The client can read it, but not change it.
    ///
    /// A missing attachment is deserialized from JSON `null`, so use `Option` or `()` for `T` if tokens may have none. Lone
    /// surrogates in it are replaced by U+FFFD.
    ///
    /// # Errors
    /// The attachment does not deserialize to `T`, or the socket has closed.
    pub fn token_attachment(&self) -> Result<T> {
        let session = self.session()?;
        Ok(read_attachment(session.claims.att.as_ref().map(RawJson::as_str))?)
    }
}

impl<T, S: Serialize + DeserializeOwned> Socket<T, S> {
    /// Returns the custom attachment, or `None` before the first [`Socket::set_attachment`].
    ///
    /// # Errors
    /// The attachment does not deserialize to `S`, for example after a deployment that changed the type, or the socket has closed.
    pub fn attachment(&self) -> Result<Option<S>> {
        let session = self.session()?;
        let Some(Application { json, meta }) = &session.application else { return Ok(None) };
        let value = parse(Some(json.as_str()), meta.as_ref().map(RawJson::as_str))?;
        Ok(Some(from_value(value).map_err(KeptDiffers)?))
    }

    /// Stores an attachment with the socket. It survives hibernation and is deleted when the socket closes.
    ///
    /// The type `S` is the third type parameter of the [`Channel`](crate::Channel), [`Untyped`] by default: state it, such as
    /// `Channel<Message, User, Profile>`. The claims of the token, the connection id and this attachment together are at most 15,852
    /// bytes of JSON.
    ///
    /// # Errors
    /// The attachment is too large (the previous attachment is kept), it contains a file or blob, or the socket has closed.
    pub fn set_attachment(&self, attachment: &S) -> Result<()> {
        let Serialized { json, meta, blobs } = serialize(attachment)?;
        if !blobs.is_empty() {
            return Err(Error::new(Code::InternalServerError)
                .message("A socket attachment cannot contain a file or blob."));
        }
        self.parts.owner.sessions().set_application(self.raw(), Application::new(json, meta)?)
    }
}

/// A stored attachment that does not deserialize to the application's type. This is an internal error, not invalid input.
#[derive(Debug)]
struct KeptDiffers(InvalidInput);

impl fmt::Display for KeptDiffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the socket's attachment does not match its type: {}", self.0)
    }
}

impl std::error::Error for KeptDiffers {}
