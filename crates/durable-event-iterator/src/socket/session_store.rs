//! The sessions of an object's open sockets: each is read from its socket's attachment once, and kept from then on.

use crate::{
    error::Result,
    runtime::{self, Admits, Hub, JsError, LiveView, RawSocket},
    socket::{
        close_code,
        session::{Session, Unreadable},
    },
};
use durable_event_wire::frame::head;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// How many bytes of sessions are kept read: about 20,000 of the usual size, an eighth of the isolate's memory. Those beyond
/// are read again for each use, which takes some microseconds.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The sessions of an object's sockets. Only this reads or writes an attachment, so what is kept is what is there.
pub(crate) struct SessionStore {
    hub: Rc<Hub>,
    kept: RefCell<Kept>,
    /// Whether this instance has logged that there are sockets with an unreadable attachment.
    has_reported: Cell<bool>,
}

impl SessionStore {
    pub(crate) fn new(hub: Rc<Hub>) -> Self {
        Self { hub, kept: RefCell::default(), has_reported: Cell::new(false) }
    }

    /// A socket's session.
    ///
    /// # Errors
    /// When the socket has closed. One whose attachment cannot be read is closed: its client reconnects and resumes.
    pub(crate) fn read(&self, raw: &RawSocket) -> Result<Rc<Session>> {
        self.read_by_id(raw.id()?, raw)
    }

    /// The same where the socket's id is known.
    fn read_by_id(&self, socket_id: u32, raw: &RawSocket) -> Result<Rc<Session>> {
        let kept = self.kept.try_borrow()?;
        if let Some(session) = kept.get(socket_id) {
            return Ok(Rc::clone(session));
        }
        drop(kept);
        let session = Rc::new(self.read_attachment(raw)?);
        self.keep(socket_id, &session)?;
        Ok(session)
    }

    /// The session in a socket's attachment.
    fn read_attachment(&self, raw: &RawSocket) -> Result<Session> {
        let bytes = self.hub.attachment(raw).inspect_err(|error| {
            runtime::log_error(&format!("closing a socket whose attachment cannot be had: {error}"));
            restart(raw, "Session unreadable");
        })?;
        bytes.as_deref().map_or(Err(Unreadable::Layout), Session::decode).map_err(|unreadable| {
            self.close_unreadable(raw, unreadable);
            unreadable.into()
        })
    }

    /// A socket that has closed has no attachment either. Of the others, written by another version of this code, one line tells
    /// of all: there may be thousands.
    fn close_unreadable(&self, raw: &RawSocket, unreadable: Unreadable) {
        if !raw.is_open() {
            return;
        }
        if !self.has_reported.replace(true) {
            runtime::log_error(&format!(
                "closing each socket whose attachment this version cannot read ({unreadable}); clients reconnect and resume"
            ));
        }
        restart(raw, "Session unreadable");
    }

    /// The session of a socket that is to be served, if it can be: otherwise the socket is closed, and its client reconnects and
    /// resumes. Besides unreadable sessions this is about replays that another instance has left half-way.
    ///
    /// # Errors
    /// When the Workers runtime does not tell what is being replayed.
    pub(crate) fn serve(&self, socket_id: u32, raw: &RawSocket) -> Result<Option<Rc<Session>>> {
        let Ok(session) = self.read_by_id(socket_id, raw) else { return Ok(None) };
        Ok(self.is_servable(raw, &session)?.then_some(session))
    }

    fn is_servable(&self, raw: &RawSocket, session: &Session) -> Result<bool> {
        let is_half_way = session.subscription.as_ref().is_some_and(|subscription| !subscription.live);
        let is_interrupted = is_half_way && !self.hub.is_replaying(raw)?;
        if is_interrupted {
            restart(raw, "Subscription interrupted");
        }
        Ok(!is_interrupted)
    }

    /// What a socket gets live, for the first event after waking. Its session is not kept for that: it may never be asked for.
    fn live_view(&self, raw: &RawSocket) -> Result<Option<LiveView>> {
        let kept = self.kept.try_borrow()?.get(raw.id()?).cloned();
        let session = match kept {
            Some(session) => session,
            None => Rc::new(self.read_attachment(raw)?),
        };
        let is_servable = self.is_servable(raw, &session)?;
        let subscription =
            session.subscription.as_ref().filter(|subscription| is_servable && subscription.live);
        let view = |id: &str| {
            LiveView::new(
                &head(id),
                session.expires_ms(),
                session.connection.as_deref(),
                &session.claims.tags,
            )
        };
        Ok(subscription.map(|subscription| view(&subscription.id)))
    }

    /// Sends to every live subscription; returns the sockets whose token has expired.
    pub(crate) fn fan_out(&self, tail: &str, now_ms: u64) -> Result<Vec<RawSocket>, JsError> {
        self.hub.fan_out(tail, now_ms, &|raw| self.live_view(raw).ok().flatten())
    }

    /// The same for an event that is for some only, see [`Hub::fan_out_to`].
    pub(crate) fn fan_out_to(
        &self,
        tail: &str,
        now_ms: u64,
        admits: &Admits<'_>,
        chosen: &[RawSocket],
        except: &[RawSocket],
    ) -> Result<Vec<RawSocket>, JsError> {
        self.hub.fan_out_to(tail, now_ms, &|raw| self.live_view(raw).ok().flatten(), admits, chosen, except)
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
        self.keep(raw.id()?, &Rc::new(session))
    }

    /// The socket has closed.
    pub(crate) fn forget(&self, socket_id: u32) {
        if let Ok(mut kept) = self.kept.try_borrow_mut() {
            kept.remove(socket_id);
        }
    }

    fn keep(&self, socket_id: u32, session: &Rc<Session>) -> Result<()> {
        self.kept.try_borrow_mut()?.set(socket_id, session);
        Ok(())
    }
}

/// An error is a socket that has closed already.
fn restart(raw: &RawSocket, reason: &str) {
    let _ = raw.close(close_code::RESTART, reason);
}

/// The sessions that are kept read. Where there is no room for another one it is not kept, and those that are there stay: whoever
/// looks at all sockets reads only the rest anew.
#[derive(Default)]
struct Kept {
    sessions: BTreeMap<u32, Rc<Session>>,
    /// Of all of them, in memory.
    bytes: usize,
}

impl Kept {
    fn get(&self, socket_id: u32) -> Option<&Rc<Session>> {
        self.sessions.get(&socket_id)
    }

    fn set(&mut self, socket_id: u32, session: &Rc<Session>) {
        self.remove(socket_id);
        let bytes = self.bytes.saturating_add(session.memory());
        if bytes <= MAX_KEPT_BYTES {
            self.bytes = bytes;
            self.sessions.insert(socket_id, Rc::clone(session));
        }
    }

    fn remove(&mut self, socket_id: u32) {
        if let Some(session) = self.sessions.remove(&socket_id) {
            self.bytes = self.bytes.saturating_sub(session.memory());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(att: usize) -> Rc<Session> {
        let json = format!(
            r#"{{"claims":{{"rpc":[],"att":{:?},"iat":1,"exp":2}},"enforced":true}}"#,
            "x".repeat(att)
        );
        Rc::new(Session::decode(json.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_kept_is_bounded_by_its_bytes_and_stays() {
        let mut kept = Kept::default();
        let (small, large) = (session(0), session(16_000));
        let fitting = u32::try_from(MAX_KEPT_BYTES / large.memory()).unwrap();
        for socket_id in 0..fitting + 100 {
            kept.set(socket_id, &large);
        }
        let count =
            |kept: &Kept| (0..fitting + 100).filter(|socket_id| kept.get(*socket_id).is_some()).count();
        assert_eq!(count(&kept), fitting as usize, "those that came first");
        assert!(kept.get(0).is_some() && kept.bytes <= MAX_KEPT_BYTES);
        // One that has become too large for the room is not kept as it was before.
        kept.set(0, &small);
        kept.set(fitting, &small);
        kept.set(0, &session(32_000));
        assert!(kept.get(0).is_none() && kept.get(fitting).is_some());
        for socket_id in 0..fitting + 100 {
            kept.remove(socket_id);
        }
        assert_eq!(kept.bytes, 0);
    }
}
