//! Presence of a channel: its members join and leave with their subscriptions.

use super::{ChannelCore, subscription};
use crate::{
    error::{Code, Error, Result},
    presence::{Entry, Member, Presence, Roster, Update, event, generated_id, member_id},
    runtime::{self, EventMessages, RawSocket, Work},
    socket::session::{MemberState, PUBLISHER_TAG, RawJson, Session},
};
use durable_event_log::EventId;
use durable_event_wire::{
    Serialized,
    frame::{StreamEventKind, live_tail, stream_event},
    parse,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

/// Maximum size of a state, in bytes of JSON.
const MAX_STATE_BYTES: usize = 1_024;

/// The built-in procedure with which a client sets the state of its member.
pub(crate) const SET_PRESENCE: &str = "setPresence";

/// The message of the error for a call over HTTP of a client that is not a member.
const NOT_A_MEMBER: &str = "Only a member of the channel has a presence state: subscribe before you set it.";

/// The least delay of the timer while a transaction is open, in milliseconds.
const TRANSACTION_PAUSE_MS: u64 = 1_000;

/// What an instance knows of presence.
pub(crate) struct PresenceState {
    options: Presence,
    /// `None` before the first activity of the instance that concerns presence.
    roster: RefCell<Option<Roster<RawSocket>>>,
    /// The sockets whose subscription has become live, and whose member has not joined yet.
    arriving: RefCell<BTreeSet<u32>>,
    /// The sockets whose attachment states that presence is owed, as far as this instance knows. Almost always one or none.
    marked: RefCell<BTreeMap<u32, RawSocket>>,
    /// The last long list that was sent to a newcomer.
    list: RefCell<Option<Vec<Rc<Serialized>>>>,
    is_settling: Cell<bool>,
    /// Whether stored events are being sent. A subscription that is parked meanwhile would skip those that it has not received.
    is_held: Cell<bool>,
    /// Whether [`settle`] was called meanwhile.
    is_deferred: Cell<bool>,
    /// The time of the timer, in milliseconds since 1970.
    timer_ms: Cell<Option<u64>>,
}

impl PresenceState {
    pub(crate) fn new(options: Presence) -> Self {
        Self {
            options,
            roster: RefCell::default(),
            arriving: RefCell::default(),
            marked: RefCell::default(),
            list: RefCell::default(),
            is_settling: Cell::new(false),
            is_held: Cell::new(false),
            is_deferred: Cell::new(false),
            timer_ms: Cell::new(None),
        }
    }

    fn is_built(&self) -> bool {
        self.roster.try_borrow().is_ok_and(|roster| roster.is_some())
    }

    /// Runs `work` on the roster, which is built from the attachments of the open sockets if this instance has none.
    fn with<R>(&self, core: &ChannelCore, work: impl FnOnce(&mut Roster<RawSocket>) -> R) -> Result<R> {
        if !self.is_built() {
            let roster = self.build(core)?;
            let next = roster.next_ms();
            *self.roster.try_borrow_mut()? = Some(roster);
            if next.is_some() {
                // The caller need not settle what another instance has left.
                self.schedule(core, next)?;
            }
        }
        let mut slot = self.roster.try_borrow_mut()?;
        Ok(work(slot.get_or_insert_with(|| Roster::new(self.options.grace_ms()))))
    }

    /// Returns the events with the list for a socket whose subscription has become live.
    ///
    /// A long list is kept until the channel is quiet, and is followed by the changes since: otherwise, a thousand clients that
    /// reconnect after a deployment would cause the serialization of a thousand lists.
    fn list_for(&self, core: &ChannelCore, socket: u32) -> Result<Vec<Rc<Serialized>>> {
        let mut kept = self.list.try_borrow_mut()?;
        self.with(core, |roster| {
            let own_id = roster.member_of(socket).map(str::to_owned);
            let own_id = own_id.as_deref();
            if let (Some(list), Some(changes)) = (kept.as_ref(), roster.since_list()) {
                let changes = event::changes_for(changes, own_id).into_iter().map(Rc::new);
                return list.iter().cloned().chain(changes).collect();
            }
            *kept = None;
            let list: Vec<_> = event::list(roster.entries(), own_id).into_iter().map(Rc::new).collect();
            if list.len() > 1 {
                roster.mark_list();
                *kept = Some(event::list(roster.entries(), None).into_iter().map(Rc::new).collect());
            }
            list
        })
    }

    /// Sets the timer, or deletes it.
    fn schedule(&self, core: &ChannelCore, at_ms: Option<u64>) -> Result<()> {
        if self.timer_ms.replace(at_ms) != at_ms {
            core.hub.schedule(at_ms)?;
        }
        Ok(())
    }

    fn build(&self, core: &ChannelCore) -> Result<Roster<RawSocket>> {
        let mut roster = Roster::new(self.options.grace_ms());
        if core.hub.take_unannounced() {
            roster.owe_list();
        }
        for ws in core.hub.sockets()? {
            let (Ok(socket), Ok(session)) = (ws.id(), core.sessions.read(&ws)) else {
                roster.owe_list(); // its member is unknown, and clients may know it
                continue;
            };
            if session.owes_presence() {
                roster.owe_list();
                self.marked.try_borrow_mut()?.insert(socket, ws.clone());
            }
            if session.is_present() && !self.arriving.try_borrow()?.contains(&socket) {
                self.restore(core, &mut roster, &ws, &session);
            }
        }
        Ok(roster)
    }

    /// Adds a socket that was there before the roster.
    fn restore(&self, core: &ChannelCore, roster: &mut Roster<RawSocket>, ws: &RawSocket, session: &Session) {
        let (Ok(socket), Some(id)) = (ws.id(), self.id_of(core, ws, session)) else { return };
        roster.restore(socket, &id, ws.clone(), kept_state(session));
    }

    /// Returns the member id of a socket, or `None` if it has no key, and a generated id cannot be stored.
    fn id_of(&self, core: &ChannelCore, ws: &RawSocket, session: &Session) -> Option<String> {
        self.known_id(session).or_else(|| {
            let id = generated_id(runtime::now_ms(), ws.id().ok()?);
            let mut session = session.clone();
            session.member.get_or_insert_default().id = Some(id.as_str().into());
            core.sessions.write(ws, session).ok()?;
            Some(id)
        })
    }

    fn known_id(&self, session: &Session) -> Option<String> {
        let generated = || session.member.as_ref()?.id.as_deref().map(str::to_owned);
        member_id(&self.options.key, session).or_else(generated)
    }

    fn join(&self, core: &ChannelCore, ws: &RawSocket, session: &Session) -> Result<()> {
        let Some(id) = self.id_of(core, ws, session) else { return Ok(()) };
        let socket = ws.id()?;
        let to_keep = self.with(core, |roster| roster.join(socket, &id, ws.clone(), kept_state(session)))?;
        if let Some(state) = to_keep {
            keep_state(core, ws, &state);
        }
        Ok(())
    }

    /// Returns whether the roster contains a socket. It is not built for this.
    fn knows(&self, ws: &RawSocket) -> bool {
        let Ok(roster) = self.roster.try_borrow() else { return false };
        roster.as_ref().is_some_and(|roster| ws.id().is_ok_and(|socket| roster.member_of(socket).is_some()))
    }

    /// Removes a socket with this session from its member, if it has joined.
    fn leave(&self, core: &ChannelCore, ws: &RawSocket, session: &Session) -> Result<()> {
        let socket = ws.id()?;
        if self.with(core, |roster| roster.member_of(socket).is_none())? {
            if self.arriving.try_borrow()?.contains(&socket) {
                return Ok(()); // it has not joined
            }
            // The socket had closed before the roster was built.
            let Some(id) = self.known_id(session) else { return Ok(()) };
            self.with(core, |roster| roster.restore_closed(socket, &id, ws.clone(), kept_state(session)))?;
        }
        self.remove(core, socket)
    }

    /// Removes a socket from the roster.
    fn remove(&self, core: &ChannelCore, socket: u32) -> Result<()> {
        let now_ms = runtime::now_ms();
        if let Some((other, state)) = self.with(core, |roster| roster.leave(socket, now_ms))? {
            keep_state(core, &other, &state);
        }
        Ok(())
    }

    /// Sends what is due, and sets the timer for the rest.
    fn settle(&self, core: &ChannelCore) -> Result<()> {
        if !self.is_built() {
            return Ok(());
        }
        // Events are not sent from a transaction, which may be rolled back. Its end calls this again.
        let is_open = core.transactions.is_open();
        if !is_open {
            while let Some(update) = self.with(core, |roster| roster.advance(runtime::now_ms()))? {
                send(core, update);
            }
        }
        let next = self.with(core, |roster| roster.next_ms())?;
        if next.is_none() {
            self.list.replace(None);
        }
        self.owe(core, next.is_some())?;
        // If the instance is lost in the transaction, only the timer is left.
        let earliest = if is_open { runtime::now_ms().saturating_add(TRANSACTION_PAUSE_MS) } else { 0 };
        self.schedule(core, next.map(|next| next.max(earliest)))
    }

    /// Records in the attachment of one socket that presence is owed, or removes the record.
    fn owe(&self, core: &ChannelCore, is_owed: bool) -> Result<()> {
        let mut marked = self.marked.try_borrow_mut()?;
        if !is_owed {
            for ws in std::mem::take(&mut *marked).into_values() {
                let _ = mark(core, &ws, false); // an error means that the socket has closed
            }
            return Ok(());
        }
        if marked.values().any(RawSocket::is_open) {
            return Ok(());
        }
        let members: Vec<RawSocket> = self.with(core, |roster| {
            roster.handles().filter(|ws| ws.is_open()).take(CANDIDATES).cloned().collect()
        })?;
        let try_mark = |ws: &RawSocket| mark(core, ws, true).is_ok();
        let found = match members.into_iter().find(try_mark) {
            Some(ws) => Some(ws),
            // A subscriber that is not a member, such as a reader that receives every audience.
            None => core.hub.sockets()?.into_iter().filter(|ws| is_subscriber(core, ws)).find(try_mark),
        };
        if let Some(ws) = found {
            marked.insert(ws.id()?, ws);
        }
        Ok(())
    }
}

/// Returns whether a socket has a live subscription of a client.
fn is_subscriber(core: &ChannelCore, ws: &RawSocket) -> bool {
    core.sessions.peek(ws).is_ok_and(|session| {
        !session.is_publisher() && session.subscription.as_ref().is_some_and(|subscription| subscription.live)
    })
}

/// The number of sockets of which one is to state that presence is owed. Almost always the first one does.
const CANDIDATES: usize = 8;

fn mark(core: &ChannelCore, ws: &RawSocket, is_owed: bool) -> Result<()> {
    let mut session = core.sessions.read_to_change(ws)?;
    session.member.get_or_insert_default().owed = is_owed;
    core.sessions.write(ws, session)
}

fn kept_state(session: &Session) -> Option<MemberState> {
    session.member.as_ref()?.state.clone()
}

/// Stores a member's state in the attachment of a socket. Without space for it, the state lasts as long as the instance.
fn keep_state(core: &ChannelCore, ws: &RawSocket, state: &MemberState) {
    let Ok(mut session) = core.sessions.read_to_change(ws) else { return };
    session.member.get_or_insert_default().state = Some(state.clone());
    let _ = core.sessions.write(ws, session);
}

/// Sends an update to the live subscriptions of clients.
fn send(core: &ChannelCore, update: Update) {
    for body in event::events(update) {
        let messages = EventMessages { tail: live_tail(&body), for_publishers: None };
        let now_ms = runtime::now_ms();
        let room_of = |flow| core.room(flow, 0);
        let unsent = if !core.options.serves_publishers {
            core.sessions.fan_out(&messages, now_ms, &room_of)
        } else {
            let is_client =
                |_: Option<&str>, tags: &[String], _| !tags.iter().any(|tag| tag == PUBLISHER_TAG);
            core.sessions.fan_out_to(&messages, now_ms, &room_of, &is_client, &[], &[])
        };
        match unsent {
            Ok(unsent) => {
                // All stored events have been sent: see `hold`.
                let end = core.last_event_id().ok().flatten().map(EventId::as_micros);
                unsent.full.iter().for_each(|ws| subscription::park(core, ws, end));
                unsent.expired.iter().for_each(|ws| subscription::expire(core, ws));
            }
            Err(error) => runtime::log_error(&format!("sending a presence event failed: {error}")),
        }
    }
}

/// Logs an error of presence, which must not fail the work that has caused it.
fn report(result: Result<()>) {
    if let Err(error) = result {
        runtime::log_error(&format!("presence failed: {error}"));
    }
}

/// Runs `work`, which sends stored events. Presence events are sent after it.
pub(crate) fn hold<R>(core: &ChannelCore, work: impl FnOnce() -> R) -> R {
    let Some(presence) = &core.presence else { return work() };
    if presence.is_held.replace(true) {
        return work(); // the outer call sends them
    }
    let result = work();
    presence.is_held.set(false);
    if presence.is_deferred.take() {
        settle(core);
    }
    result
}

/// Sends what is due, and sets the timer for the rest.
pub(crate) fn settle(core: &ChannelCore) {
    let Some(presence) = &core.presence else { return };
    if presence.is_held.get() {
        presence.is_deferred.set(true);
        return;
    }
    // Sending may end subscriptions. The outer call handles what follows from it.
    if !presence.is_settling.replace(true) {
        report(presence.settle(core));
        presence.is_settling.set(false);
    }
}

/// Makes the session of a subscription that becomes live, or is parked, one of a member. Returns whether it was one already.
pub(crate) fn arrive(core: &ChannelCore, ws: &RawSocket, session: &mut Session) -> bool {
    let Some(presence) = &core.presence else { return false };
    if !session.may_be_member() {
        return false;
    }
    let was_member = session.member.as_ref().is_some_and(|member| member.here);
    let is_new = session.member.is_none();
    let needs_id = presence.known_id(session).is_none();
    let member = session.member.get_or_insert_default();
    (member.here, member.is_call) = (true, false);
    if let (true, Ok(socket)) = (needs_id, ws.id()) {
        member.id = Some(generated_id(runtime::now_ms(), socket).into());
    }
    if is_new && session.encode().is_err() {
        session.member = None; // the socket was opened without presence, and its attachment has no space for it
    }
    was_member
}

/// Runs `on_live` for a subscription that has become live, and then makes its member join. The client receives the full list.
///
/// `was_member` is the result of [`arrive`].
pub(crate) fn welcome(
    core: &ChannelCore,
    ws: &RawSocket,
    was_member: bool,
    on_live: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let Some(presence) = &core.presence else { return on_live() };
    let socket = ws.id()?;
    // `on_live` runs code of the application, and the attachment states already that the member is there.
    let _arrival = core.hub.begin(Work::Arrival);
    if !was_member {
        presence.arriving.try_borrow_mut()?.insert(socket);
    }
    let result = on_live();
    // Built before the socket counts as known.
    let joined = presence.with(core, |_| ()).and_then(|()| {
        let Ok(session) = core.sessions.read(ws) else { return Ok(()) };
        if !ws.is_open() {
            return Ok(()); // it does not join, and does not leave when it has closed
        }
        presence.arriving.try_borrow_mut()?.remove(&socket);
        if session.is_present() {
            presence.join(core, ws, &session)?;
        }
        // `on_live` may have failed or parked the subscription.
        let live = session.subscription.as_ref().filter(|subscription| subscription.live);
        let Some(subscription) = live else { return Ok(()) };
        // Before the list is built: a grace period that ends now ends for this client too.
        // The client does not receive changes before the list.
        core.hub.without(ws, || settle(core))?;
        let bodies = presence.list_for(core, socket)?;
        // Sent whole, and not counted as sent without an acknowledgement: a long list would park the subscription again and again.
        for body in bodies.iter() {
            let event = stream_event(&subscription.id, StreamEventKind::Message, Some(body), None);
            let _ = ws.send_text(&event); // an error means that the socket has closed
        }
        Ok(())
    });
    report(joined);
    settle(core);
    result
}

/// Handles a subscription that ends, before its session is written. Call [`settle`] afterwards.
pub(crate) fn departing(core: &ChannelCore, ws: &RawSocket, session: &mut Session) {
    let Some(presence) = &core.presence else { return };
    if !session.is_present() && !presence.knows(ws) {
        return;
    }
    report(presence.leave(core, ws, session));
    if let Some(member) = &mut session.member {
        member.here = false;
    }
}

/// Handles a socket that has closed.
pub(crate) fn closed(core: &ChannelCore, ws: &RawSocket, session: &Session) {
    let Some(presence) = &core.presence else { return };
    let Ok(socket) = ws.id() else { return };
    let is_ours = presence.marked.try_borrow_mut().is_ok_and(|mut marked| marked.remove(&socket).is_some());
    if session.owes_presence() && !is_ours {
        // Marked by another instance, and closed before this one has built its roster.
        report(presence.with(core, Roster::owe_list));
    }
    if session.is_present() || presence.knows(ws) {
        report(presence.leave(core, ws, session));
    }
    if let Ok(mut arriving) = presence.arriving.try_borrow_mut() {
        arriving.remove(&socket);
    }
    settle(core);
}

/// Handles a socket that has closed, and whose session cannot be read. A roster that was built after it began to close does not contain
/// it, although the clients may know its member.
pub(crate) fn closed_unreadable(core: &ChannelCore, ws: &RawSocket) {
    let Some(presence) = &core.presence else { return };
    let Ok(socket) = ws.id() else { return };
    report(match presence.knows(ws) {
        true => presence.remove(core, socket),
        false => presence.with(core, Roster::owe_list),
    });
    if let Ok(mut marked) = presence.marked.try_borrow_mut() {
        marked.remove(&socket);
    }
    settle(core);
}

/// Writes the session of a token refresh. The new token may be that of another member, or of a reader who is not a member.
pub(crate) fn refresh(
    core: &ChannelCore,
    ws: &RawSocket,
    before: &Session,
    mut refreshed: Session,
) -> Result<()> {
    let Some(presence) = &core.presence else { return core.sessions.write(ws, refreshed) };
    let was_present = before.is_present();
    let has_same_id = presence.known_id(before) == presence.known_id(&refreshed);
    if has_same_id && was_present == refreshed.is_present() {
        return core.sessions.write(ws, refreshed);
    }
    if (was_present || !has_same_id)
        && let Some(member) = &mut refreshed.member
    {
        member.state = None; // that of the earlier member
    }
    let is_present = refreshed.is_present();
    if is_present {
        arrive(core, ws, &mut refreshed);
    } else if let Some(member) = &mut refreshed.member {
        member.here = false;
    }
    if was_present || is_present {
        presence.with(core, |_| ())?; // built from the session before
    }
    core.sessions.write(ws, refreshed.clone())?;
    // The new token is in use. An error concerns only presence.
    if was_present {
        report(presence.leave(core, ws, before));
    }
    if is_present {
        report(presence.join(core, ws, &refreshed));
    }
    settle(core);
    Ok(())
}

/// Sets the state of a socket's member.
///
/// # Errors
/// Presence is off, the state is too large or contains a blob, the socket has closed, or it is that of a call over HTTP whose client is
/// not a member.
pub(crate) fn set_state(core: &ChannelCore, ws: &RawSocket, state: Serialized) -> Result<()> {
    let presence = core.presence.as_ref().ok_or_else(|| {
        Error::new(Code::InternalServerError)
            .message("Presence is off: turn it on with the option `presence`.")
    })?;
    let state = read_state(state)?;
    let session = core.sessions.read(ws)?;
    let id = presence.known_id(&session).filter(|_| session.may_be_member());
    let now_ms = runtime::now_ms();
    let at = match &id {
        Some(id) => presence.with(core, |roster| roster.time_of_state(id, now_ms))?,
        None => now_ms,
    };
    let state = MemberState { at, ..state };
    if session.is_present() {
        store_state(core, ws, state.clone())?;
        let socket = ws.id()?;
        presence.with(core, |roster| roster.set_state(socket, state))?;
    } else if let Some(id) = &id
        && let Some(sockets) = presence.with(core, |roster| roster.sockets_of(id))?
    {
        // A call over HTTP has a socket of its own, without a subscription. The state is that of the member.
        let kept_by = sockets.iter().find(|socket| socket.is_open());
        if let Some(socket) = kept_by {
            store_state(core, socket, state.clone())?;
        }
        let kept_by = kept_by.map(RawSocket::id).transpose()?;
        presence.with(core, |roster| roster.set_state_of(id, kept_by, state))?;
    } else if session.member.as_ref().is_some_and(|member| member.is_call) {
        return Err(Error::new(Code::Conflict).message(NOT_A_MEMBER));
    } else {
        return store_state(core, ws, state);
    }
    settle(core);
    Ok(())
}

/// Stores a state in the attachment of a socket.
fn store_state(core: &ChannelCore, ws: &RawSocket, state: MemberState) -> Result<()> {
    let mut session = core.sessions.read_to_change(ws)?;
    session.member.get_or_insert_default().state = Some(state);
    session.encode().map_err(|_| {
        Error::new(Code::PayloadTooLarge).message(
            "The presence state does not fit into the attachment of the socket beside its other content.",
        )
    })?;
    core.sessions.write(ws, session)
}

fn read_state(Serialized { json, meta, blobs }: Serialized) -> Result<MemberState> {
    if !blobs.is_empty() {
        return Err(Error::new(Code::BadRequest).message("A presence state cannot contain a file or blob."));
    }
    let bytes = json.iter().chain(&meta).fold(0, |sum: usize, text| sum.saturating_add(text.len()));
    if bytes > MAX_STATE_BYTES {
        let message =
            format!("A presence state must be at most {MAX_STATE_BYTES} bytes of JSON, got {bytes}.");
        return Err(Error::new(Code::PayloadTooLarge).message(message));
    }
    let raw = |text: Option<String>| text.map(RawJson::new).transpose();
    let meta = if json.is_some() { meta } else { None };
    Ok(MemberState { json: raw(json)?, meta: raw(meta)?, at: 0 })
}

/// Handles the timer.
pub(crate) fn timer(core: &ChannelCore) {
    let Some(presence) = &core.presence else { return };
    presence.timer_ms.set(None);
    if !presence.is_built() {
        // The instance that has set the timer was lost.
        report(presence.with(core, Roster::owe_list));
    }
    settle(core);
}

/// Handles an attachment which states that presence is owed, found by an instance that sends an event.
pub(crate) fn resync(core: &ChannelCore) {
    let Some(presence) = &core.presence else { return };
    report(presence.with(core, |_| ()));
    settle(core);
}

fn entries(core: &ChannelCore) -> Result<Vec<Entry>> {
    let presence = core.presence.as_ref().ok_or_else(|| {
        Error::new(Code::NotFound)
            .message("Presence is off for this channel: turn it on with the option `presence`.")
    })?;
    let entries = presence.with(core, |roster| roster.entries().collect());
    settle(core); // if this instance has found that something is owed
    entries
}

/// Returns the members, sorted by id.
///
/// # Errors
/// NOT_FOUND if presence is off.
pub(crate) fn members(core: &ChannelCore) -> Result<Vec<Member>> {
    let member = |Entry { id, state, connections }: Entry| {
        let text = |text: &Option<RawJson>| text.as_ref().map(|text| text.as_str().to_owned());
        let state = match state.map(|state| (text(&state.json), text(&state.meta))) {
            Some((Some(json), meta)) => Some(parse(Some(&json), meta.as_deref())?),
            _ => None,
        };
        Ok(Member { id: id.as_ref().to_owned(), state, connections })
    };
    entries(core)?.into_iter().map(member).collect()
}

/// A member as JSON.
#[derive(serde::Serialize)]
struct MemberJson<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'a RawJson>,
    connections: usize,
}

impl<'a> From<&'a Entry> for MemberJson<'a> {
    fn from(Entry { id, state, connections }: &'a Entry) -> Self {
        let state = state.as_ref().and_then(|state| state.json.as_ref());
        Self { id, state, connections: *connections }
    }
}

/// Returns the members as JSON. Types of states that JSON does not have, such as `Date`, have their JSON form.
///
/// # Errors
/// NOT_FOUND if presence is off.
pub(crate) fn members_json(core: &ChannelCore) -> Result<String> {
    #[derive(serde::Serialize)]
    struct Members<'a> {
        members: Vec<MemberJson<'a>>,
    }
    let entries = entries(core)?;
    let members = entries.iter().map(MemberJson::from).collect();
    Ok(serde_json::to_string(&Members { members })?)
}

/// Returns the number of members, or `None` if presence is off.
pub(crate) fn count(core: &ChannelCore) -> Result<Option<usize>> {
    core.presence.as_ref().map(|presence| presence.with(core, |roster| roster.len())).transpose()
}

/// Returns the member id of a socket's client, if presence is on and the client is a member.
pub(crate) fn member_of(core: &ChannelCore, session: &Session) -> Option<String> {
    core.presence.as_ref().filter(|_| session.is_present())?.known_id(session)
}
