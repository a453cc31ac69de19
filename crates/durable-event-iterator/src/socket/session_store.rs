//! The sessions of a Durable Object's open sockets, cached after they are read from the sockets' attachments.

use crate::{
    counters::{Anomaly, Counters},
    error::Result,
    runtime::{self, Admits, EventMessages, Hub, JsError, LiveView, PUBLISHER_HEAD, RawSocket, Unsent},
    socket::{
        close_code,
        session::{Application, Flow, Session, Unreadable},
    },
};
use durable_event_wire::frame::head;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// Maximum memory of cached sessions, in bytes: about 20,000 sessions of usual size, an eighth of the isolate's memory. Others are
/// read again for each use, which takes some microseconds.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Returns the room of a subscription with flow control, as far as the log can tell it after hibernation.
type RoomOf<'a> = dyn Fn(Flow) -> u64 + 'a;

/// The sessions of a Durable Object's sockets. No other code reads or writes attachments, so the cache is always current.
pub(crate) struct SessionStore {
    hub: Rc<Hub>,
    counters: Rc<Counters>,
    kept: RefCell<Kept>,
    /// Whether this instance has logged an unreadable attachment.
    has_reported: Cell<bool>,
    /// Whether publishers are served: see [`Options::publisher`](crate::Options::publisher).
    serves_publishers: bool,
    /// Whether an attachment that was read for an event states that presence is owed: see [`Membership::owed`](crate::socket::session::Membership::owed).
    owes_presence: Cell<bool>,
}

impl SessionStore {
    pub(crate) fn new(hub: Rc<Hub>, counters: Rc<Counters>, serves_publishers: bool) -> Self {
        Self {
            hub,
            counters,
            kept: RefCell::default(),
            has_reported: Cell::new(false),
            serves_publishers,
            owes_presence: Cell::new(false),
        }
    }

    /// Returns whether an attachment that was read for an event since the last call states that presence is owed.
    pub(crate) fn take_owes_presence(&self) -> bool {
        self.owes_presence.replace(false)
    }

    /// Returns a socket's session without caching it, for reading the sessions of all sockets.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn peek(&self, raw: &RawSocket) -> Result<Rc<Session>> {
        match self.kept.try_borrow()?.get(raw.id()?) {
            Some(session) => Ok(Rc::clone(session)),
            None => Ok(Rc::new(self.read_attachment(raw)?)),
        }
    }

    /// Returns a socket's session.
    ///
    /// # Errors
    /// The socket has closed, or its attachment is unreadable. Then the socket is closed: its client reconnects and resumes.
    pub(crate) fn read(&self, raw: &RawSocket) -> Result<Rc<Session>> {
        self.read_by_id(raw.id()?, raw)
    }

    /// Does the same as [`read`](Self::read) for a known socket id.
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

    /// Reads the session in a socket's attachment, without the cache.
    fn read_attachment(&self, raw: &RawSocket) -> Result<Session> {
        let bytes = self.hub.attachment(raw).inspect_err(|error| {
            runtime::log_error(&format!(
                "closing a socket because its attachment cannot be accessed: {error}"
            ));
            self.counters.report(Anomaly::UnreadableAttachment);
            restart(raw, "Session unreadable");
        })?;
        bytes.as_deref().map_or(Err(Unreadable::Layout), Session::decode).map_err(|unreadable| {
            self.close_unreadable(raw, unreadable);
            unreadable.into()
        })
    }

    /// Closes a socket with an unreadable attachment, written by another version of this code. There may be thousands of them, so
    /// only the first one is logged. Closed sockets have no attachment and are ignored.
    fn close_unreadable(&self, raw: &RawSocket, unreadable: Unreadable) {
        if !raw.is_open() {
            return;
        }
        self.counters.report(Anomaly::UnreadableAttachment);
        if !self.has_reported.replace(true) {
            runtime::log_error(&format!(
                "closing each socket whose attachment this version cannot read ({unreadable}); clients reconnect and resume"
            ));
        }
        restart(raw, "Session unreadable");
    }

    /// Returns the session of a socket that has sent a message. Returns `None`, and closes the socket, if its session is unreadable
    /// or its replay was interrupted by the end of an instance: its client reconnects and resumes.
    ///
    /// # Errors
    /// JavaScript cannot determine whether a replay to the socket is running.
    pub(crate) fn serve(&self, socket_id: u32, raw: &RawSocket) -> Result<Option<Rc<Session>>> {
        let Ok(session) = self.read_by_id(socket_id, raw) else { return Ok(None) };
        Ok(self.is_servable(raw, &session)?.then_some(session))
    }

    fn is_servable(&self, raw: &RawSocket, session: &Session) -> Result<bool> {
        if session.is_publisher() && !self.serves_publishers {
            restart(raw, "Publishers are not served"); // an earlier version of the class has accepted it
            return Ok(false);
        }
        let is_half_way = session.subscription.as_ref().is_some_and(|subscription| !subscription.live);
        let is_interrupted = is_half_way && !self.hub.is_replaying(raw)?;
        if is_interrupted {
            restart(raw, "Subscription interrupted");
        }
        Ok(!is_interrupted)
    }

    /// Returns the view of a socket's live subscription, for the first event after a wake-up. A parked subscription that makes its client
    /// a member has a view too, so that the fan-out finds an expired token. The session is not cached, since it may not be needed again.
    fn live_view(&self, raw: &RawSocket, room_of: &RoomOf<'_>) -> Result<Option<LiveView>> {
        let session = self.peek(raw)?;
        if session.owes_presence() {
            self.owes_presence.set(true);
        }
        let is_servable = self.is_servable(raw, &session)?;
        if session.is_parked && session.is_present() {
            return Ok(Some(LiveView::parked(session.expires_ms())));
        }
        let subscription =
            session.subscription.as_ref().filter(|subscription| is_servable && subscription.live);
        Ok(subscription.map(|subscription| {
            let head =
                if session.is_publisher() { PUBLISHER_HEAD.to_owned() } else { head(&subscription.id) };
            LiveView::new(
                &head,
                session.expires_ms(),
                session.connection.as_deref(),
                &session.claims.tags,
                session.claims.has_every_audience,
                subscription.flow.map(room_of),
            )
        }))
    }

    /// Sends an event to every live subscription. Returns the sockets that have not received it.
    pub(crate) fn fan_out(
        &self,
        messages: &EventMessages,
        now_ms: u64,
        room_of: &RoomOf<'_>,
    ) -> Result<Unsent, JsError> {
        self.hub.fan_out(messages, now_ms, &|raw| self.live_view(raw, room_of).ok().flatten())
    }

    /// Does the same for an event with an audience: see [`Hub::fan_out_to`].
    pub(crate) fn fan_out_to(
        &self,
        messages: &EventMessages,
        now_ms: u64,
        room_of: &RoomOf<'_>,
        admits: &Admits<'_>,
        chosen: &[RawSocket],
        except: &[RawSocket],
    ) -> Result<Unsent, JsError> {
        let read = |raw: &RawSocket| self.live_view(raw, room_of).ok().flatten();
        self.hub.fan_out_to(messages, now_ms, &read, admits, chosen, except)
    }

    /// Returns a copy of a socket's session, to be changed and passed to [`write`](Self::write).
    pub(crate) fn read_to_change(&self, raw: &RawSocket) -> Result<Session> {
        Ok(Session::clone(&*self.read(raw)?))
    }

    /// Stores a session in its socket's attachment, which survives hibernation.
    ///
    /// # Errors
    /// The session is too large (the previous one is kept), or the socket has closed.
    pub(crate) fn write(&self, raw: &RawSocket, session: Session) -> Result<()> {
        self.hub.set_attachment(raw, &session.encode()?)?;
        self.keep(raw.id()?, &Rc::new(session))
    }

    /// Stores the application's attachment of a socket.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn set_application(&self, raw: &RawSocket, application: Application) -> Result<()> {
        let session = self.read_to_change(raw)?;
        self.write(raw, Session { application: Some(application), ..session })
    }

    /// Removes the cached session of a socket that has closed.
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

/// Closes a socket so that its client reconnects. An error is ignored: the socket has closed already.
fn restart(raw: &RawSocket, reason: &str) {
    let _ = raw.close(close_code::RESTART, reason);
}

/// The cached sessions. If the cache is full, new sessions are not cached and the present ones stay: a loop over all sockets then
/// reads only the others again.
#[derive(Default)]
struct Kept {
    sessions: BTreeMap<u32, Rc<Session>>,
    /// Memory of all cached sessions, in bytes.
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
    fn the_cache_is_limited_in_bytes_and_keeps_the_first_sessions() {
        let mut kept = Kept::default();
        let (small, large) = (session(0), session(16_000));
        let fitting = u32::try_from(MAX_KEPT_BYTES / large.memory()).unwrap();
        for socket_id in 0..fitting + 100 {
            kept.set(socket_id, &large);
        }
        let count =
            |kept: &Kept| (0..fitting + 100).filter(|socket_id| kept.get(*socket_id).is_some()).count();
        assert_eq!(count(&kept), fitting as usize, "the first sessions");
        assert!(kept.get(0).is_some() && kept.bytes <= MAX_KEPT_BYTES);
        // The cached session is removed if its new version does not fit.
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
