//! The sessions of an object's open sockets: each is read from its socket's attachment once, and kept from then on.

use crate::{
    by_socket::BySocket,
    error::{Code, Error, Result},
    runtime::{Hub, RawSocket},
    session::Session,
};
use std::{cell::RefCell, rc::Rc};

/// How many sessions are kept read. One can be 16 KB large: together they must not fill the isolate's memory. Which ones
/// they are matters little, since reading one again costs some microseconds.
const MAX_KEPT: usize = 1_024;

/// The sessions of an object's sockets. Only this reads or writes an attachment, so what is kept is what is there.
pub(crate) struct Sessions {
    hub: Rc<Hub>,
    kept: RefCell<BySocket<Rc<Session>>>,
}

impl Sessions {
    pub(crate) fn new(hub: Rc<Hub>) -> Self {
        Self { hub, kept: RefCell::default() }
    }

    /// A socket's session.
    ///
    /// # Errors
    /// When the socket has closed, or its attachment is of another version of ours.
    pub(crate) fn read(&self, raw: &RawSocket) -> Result<Rc<Session>> {
        self.read_by_key(raw.key()?, raw)
    }

    /// The same where the socket's key is known.
    pub(crate) fn read_by_key(&self, key: u32, raw: &RawSocket) -> Result<Rc<Session>> {
        let kept = self.kept.try_borrow()?;
        if let Some(session) = kept.get(key) {
            return Ok(Rc::clone(session));
        }
        drop(kept);
        let bytes = self.hub.attachment(raw)?;
        let session = bytes.as_deref().and_then(Session::decode);
        let session = Rc::new(session.ok_or_else(|| Error::new(Code::InternalServerError))?);
        self.keep(key, &session)?;
        Ok(session)
    }

    /// The same, to be changed and written.
    pub(crate) fn read_to_change(&self, raw: &RawSocket) -> Result<Session> {
        Ok(Session::clone(&*self.read(raw)?))
    }

    /// Keeps a session with its socket, through hibernation.
    ///
    /// # Errors
    /// When it does not fit (the old one stays), or when the socket has closed.
    pub(crate) fn write(&self, raw: &RawSocket, session: Session) -> Result<()> {
        self.hub.set_attachment(raw, &session.encode()?)?;
        self.keep(raw.key()?, &Rc::new(session))
    }

    /// The socket has closed.
    pub(crate) fn forget(&self, key: u32) {
        if let Ok(mut kept) = self.kept.try_borrow_mut() {
            kept.remove(key);
        }
    }

    fn keep(&self, key: u32, session: &Rc<Session>) -> Result<()> {
        let mut kept = self.kept.try_borrow_mut()?;
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.set(key, Rc::clone(session));
        Ok(())
    }
}
