//! Sockets that record the messages that are sent through them.

use crate::runtime::{JsError, Message};
use durable_event_wire::frame::Outgoing;
use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

/// The Durable Object's end of a WebSocket, which records the messages that its client would receive.
///
/// A clone is another handle of the same socket.
#[derive(Clone)]
pub struct RawSocket(Rc<Parts>);

struct Parts {
    id: u32,
    tags: Vec<String>,
    attachment: RefCell<Option<Vec<u8>>>,
    sent: RefCell<Vec<Message>>,
    /// The close frame that the Durable Object has sent.
    closed: RefCell<Option<CloseFrame>>,
    /// Whether the client has closed its side, or the connection was lost.
    is_gone: Cell<bool>,
    /// Whether the client has begun to close its side.
    is_closing: Cell<bool>,
}

/// A close frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The close code.
    pub code: u16,
    /// The reason, of at most 123 bytes.
    pub reason: String,
}

/// The error of an operation on a socket that is closed or closing.
#[derive(Debug)]
pub(crate) struct Closed;

/// Maximum length of a close reason, in bytes: a control frame holds 125 bytes (RFC 6455, section 5.5), two of them for the code.
const MAX_REASON: usize = 123;

impl PartialEq for RawSocket {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for RawSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl RawSocket {
    pub(super) fn new(id: u32, tags: Vec<String>, attachment: Vec<u8>) -> Self {
        Self(Rc::new(Parts {
            id,
            tags,
            attachment: RefCell::new(Some(attachment)),
            sent: RefCell::default(),
            closed: RefCell::default(),
            is_gone: Cell::new(false),
            is_closing: Cell::new(false),
        }))
    }

    /// Returns the number of recorded messages.
    #[must_use]
    pub fn sent_count(&self) -> usize {
        self.0.sent.borrow().len()
    }

    /// Returns the recorded messages without the first `skip` ones.
    #[must_use]
    pub fn sent_after(&self, skip: usize) -> Vec<Message> {
        self.0.sent.borrow().iter().skip(skip).cloned().collect()
    }

    /// Returns the recorded messages, and clears them.
    #[must_use]
    pub fn take_sent(&self) -> Vec<Message> {
        self.0.sent.take()
    }

    /// Returns the close frame that the Durable Object has sent.
    #[must_use]
    pub fn close_frame(&self) -> Option<CloseFrame> {
        self.0.closed.borrow().clone()
    }

    /// Returns whether neither side has begun to close the socket.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.0.is_gone.get() && !self.0.is_closing.get() && self.0.closed.borrow().is_none()
    }

    /// Responds to a ping, as the Workers runtime does without waking the Durable Object.
    pub fn respond_to_ping(&self) {
        if self.is_open() {
            self.0.sent.borrow_mut().push(Message::Text("pong".to_owned()));
        }
    }

    pub(super) fn has_tag(&self, tag: &str) -> bool {
        self.0.tags.iter().any(|other| other == tag)
    }

    pub(super) fn attachment(&self) -> Option<Vec<u8>> {
        self.0.attachment.borrow().clone()
    }

    /// Sets the attachment. Returns false if the socket has closed.
    pub(super) fn set_attachment(&self, bytes: &[u8]) -> bool {
        let can_keep = !self.0.is_gone.get();
        if can_keep {
            self.0.attachment.replace(Some(bytes.to_vec()));
        }
        can_keep
    }

    /// Marks the client's side as about to close. The attachment can still be read.
    pub(crate) fn client_is_closing(&self) {
        self.0.is_closing.set(true);
    }

    /// Marks the client's side as closed or lost. Nothing more can be sent, and the attachment is deleted.
    pub(crate) fn client_has_gone(&self) {
        self.0.is_gone.set(true);
        self.0.attachment.take();
    }

    /// Returns the socket's id.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
    pub(crate) fn id(&self) -> Result<u32, JsError> {
        Ok(self.0.id)
    }

    /// Sends a text message.
    pub(crate) fn send_text(&self, text: &str) -> Result<(), Closed> {
        self.send(|| Message::Text(text.to_owned()))
    }

    fn send(&self, message: impl FnOnce() -> Message) -> Result<(), Closed> {
        if !self.is_open() {
            return Err(Closed);
        }
        self.0.sent.borrow_mut().push(message());
        Ok(())
    }

    /// Sends a response. Errors are ignored: the socket has closed, and nobody waits for the response.
    pub(crate) fn answer(&self, frame: Outgoing) {
        let _ = self.send(|| match frame {
            Outgoing::Text(text) => Message::Text(text),
            Outgoing::Binary(bytes) => Message::Bytes(bytes),
        });
    }

    /// Closes the socket.
    ///
    /// # Errors
    /// The socket has closed already, or the code or reason cannot be sent.
    pub(crate) fn close(&self, code: u16, reason: &str) -> Result<(), Closed> {
        let can_be_sent = (1000..5000).contains(&code)
            && ![1004, 1005, 1006, 1015].contains(&code)
            && reason.len() <= MAX_REASON;
        let mut closed = self.0.closed.borrow_mut();
        if !can_be_sent || closed.is_some() {
            return Err(Closed);
        }
        *closed = Some(CloseFrame { code, reason: reason.to_owned() });
        Ok(())
    }
}
