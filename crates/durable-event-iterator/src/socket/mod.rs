//! One client's socket, as the application sees it.

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

/// One client's socket: who it is (`T`, the attachment of its token) and what the application keeps with it (`S`).
///
/// Both survive hibernation. The socket itself is not reachable: what is sent through it goes through the channel, so
/// that order and resuming hold.
pub struct Socket<T = Untyped, S = Untyped> {
    parts: Rc<Parts>,
    types: PhantomData<fn() -> (T, S)>,
}

struct Parts {
    sessions: Rc<SessionStore>,
    /// Never changes in a socket's life, and is known after its end.
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
        f.write_str("Socket(..)") // its attachments are nobody's business in a log
    }
}

impl<T, S> Socket<T, S> {
    pub(crate) fn new(sessions: Rc<SessionStore>, connection: Option<String>, raw: RawSocket) -> Self {
        Self { parts: Rc::new(Parts { sessions, connection, raw }), types: PhantomData }
    }

    pub(crate) fn raw(&self) -> &RawSocket {
        &self.parts.raw
    }

    pub(crate) fn session(&self) -> Result<Rc<Session>> {
        self.parts.sessions.read(self.raw())
    }

    /// The id that the client sent when it connected, the same on each of its reconnects. Clients of generation 1
    /// other than ours send none.
    #[must_use]
    pub fn connection_id(&self) -> Option<&str> {
        self.parts.connection.as_deref()
    }

    /// The tags of the client's token; none in generation 1.
    ///
    /// # Errors
    /// When the socket has closed: its attachment is gone.
    pub fn tags(&self) -> Result<Vec<String>> {
        Ok(self.session()?.claims.tags.clone())
    }

    /// Returns when the client's token expires.
    ///
    /// # Errors
    /// When the socket has closed: its attachment is gone.
    pub fn expires_at(&self) -> Result<SystemTime> {
        Ok(from_seconds(self.session()?.claims.exp))
    }

    /// The procedures that the client's token allows.
    ///
    /// # Errors
    /// When the socket has closed: its attachment is gone.
    pub fn allowed_procedures(&self) -> Result<Vec<String>> {
        Ok(self.session()?.claims.rpc.clone())
    }

    /// Closes the socket; its client reconnects and resumes, if its token still allows it. `reason` is cut at 123
    /// bytes.
    pub fn close(&self, code: u16, reason: &str) {
        let end = reason.floor_char_boundary(MAX_CLOSE_REASON);
        // An error is a code that the standard forbids, or a socket that is closed already.
        let _ = self.raw().close(code, reason.get(..end).unwrap_or_default());
    }
}

/// A control frame holds 125 bytes (RFC 6455, section 5.5), two of them the code.
const MAX_CLOSE_REASON: usize = 123;

impl<T: DeserializeOwned, S> Socket<T, S> {
    /// The attachment of the client's token: what the server that issued it says of the client. The client can read
    /// it, but not change it. A token without attachment is JSON's `null`. A lone surrogate in it reads as U+FFFD.
    ///
    /// # Errors
    /// When it is no `T`, or when the socket has closed.
    pub fn token_attachment(&self) -> Result<T> {
        let session = self.session()?;
        Ok(read_attachment(session.claims.att.as_ref().map(RawJson::as_str))?)
    }
}

impl<T, S: Serialize + DeserializeOwned> Socket<T, S> {
    /// What the application keeps with the socket; nothing before the first [`Socket::set_attachment`].
    ///
    /// # Errors
    /// When it is no `S` (the type has changed in a deployment), or when the socket has closed.
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
    /// An error if the attachment is too large (the previous attachment is kept), or if the socket has closed.
    pub fn set_attachment(&self, attachment: &S) -> Result<()> {
        let mut session = self.parts.sessions.read_to_change(self.raw())?;
        let Serialized { json, meta, blobs } = serialize(attachment)?;
        if !blobs.is_empty() {
            return Err(Error::new(Code::InternalServerError).message("A socket cannot keep a file or blob."));
        }
        // `undefined` is kept as `null`: there is an attachment, and nothing in it.
        let json = RawJson::new(json.unwrap_or_else(|| "null".into()))?;
        session.application = Some(Application { json, meta: meta.map(RawJson::new).transpose()? });
        self.parts.sessions.write(self.raw(), session)
    }
}

/// What is kept is of another type than what is asked for: the application's affair, and none of a caller's input.
#[derive(Debug)]
struct KeptDiffers(InvalidInput);

impl fmt::Display for KeptDiffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "what is kept with the socket is of another type: {}", self.0)
    }
}

impl std::error::Error for KeptDiffers {}
