//! Subscriptions: resume and replay, live events, and the end of a subscription.

use super::{
    presence,
    replay_row::{event_expression, publisher_expression},
};
use crate::{
    channel::{ChannelCore, MICROS_PER_MILLI, audience::AudienceRule},
    counters::Anomaly,
    error::{Code, Error, PublishError, Result},
    runtime::{self, Cursor, LIVE_WINDOW, RawSocket, Replay},
    socket::{
        close_code,
        session::{Flow, Kind, MAX_FLOW_ID_BYTES, Session, Subscription, Unfinished},
    },
};
use durable_event_log::{EventId, Param, Resume, ResumeFrom, STEP_BYTES};
use durable_event_wire::{
    EventMeta, Serialized, Value,
    frame::{Headers, StreamEventKind, expired_response, head, parked, stream_event, stream_response},
    parse,
};

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// The header of the response to `/subscribe` that notifies a client of a gap: some missed events are no longer retained. Its value
/// is the id of the first event after the gap.
pub(crate) const GAP_HEADER: &str = "x-durable-event-gap";

/// The header of `/subscribe` with which a client without a cursor states since when it waits for events: the time of issue of its
/// first token, in seconds since 1970. It needs no verification, since a client may send any `last-event-id` too.
const SINCE_HEADER: &str = "x-durable-event-since";

/// The header of `/subscribe`, and of its response, that turns on flow control: the client acknowledges what it receives, and
/// subscribes again when its subscription is parked.
const FLOW_HEADER: (&str, &str) = ("x-durable-event-flow", "1");

/// The delay after which a client without flow control continues an unfinished replay, in milliseconds. It is the minimum interval
/// between two replays.
const CONTINUE_AFTER_MS: u32 = 100;

/// Reads the value of [`SINCE_HEADER`]. Returns `None` if it is not a number.
fn read_since(text: &str) -> Option<f64> {
    match parse(Some(text), None) {
        Ok(Value::Number(since)) => Some(since.as_f64()),
        _ => None,
    }
}

/// Maximum length of a cursor, in bytes. Event ids are shorter, so a longer cursor is invalid. It is truncated, because it is kept
/// during the replay, and remains invalid.
const MAX_EVENT_ID: usize = 64;

/// A `/subscribe` call.
pub(crate) struct Subscribe {
    /// The id of the call.
    pub(crate) id: String,
    /// The client's cursor: the id of the last event that it received.
    pub(crate) last_event_id: Option<String>,
    /// The value of [`SINCE_HEADER`], in seconds since 1970. It applies only without a cursor.
    pub(crate) since: Option<f64>,
    /// Whether the subscription has flow control.
    pub(crate) has_flow_control: bool,
}

/// Returns whether a subscription with this call id may have flow control: the id is short, and JSON escapes nothing in it.
fn is_flow_id(id: &str) -> bool {
    id.len() <= MAX_FLOW_ID_BYTES
        && id.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
}

impl Subscribe {
    pub(crate) fn new(id: String, headers: &Headers<'_>) -> Self {
        let since = headers.get(SINCE_HEADER).and_then(read_since);
        let last_event_id = headers.get("last-event-id").map(truncated);
        let (flow, on) = FLOW_HEADER;
        let has_flow_control = headers.get(flow) == Some(on) && is_flow_id(&id);
        Self { id, last_event_id, since, has_flow_control }
    }

    /// Returns the start of the replay.
    pub(crate) fn from(&self, session: &Session, durable_iterators_start_live: bool) -> ResumeFrom<'_> {
        match self.last_event_id.as_deref() {
            Some(id) => ResumeFrom::LastEventId(id),
            // A client that states since when it waits for events has subscribed before.
            None if session.claims.is_durable_iterator
                && durable_iterators_start_live
                && self.since.is_none() =>
            {
                ResumeFrom::End
            }
            None => {
                let issued = session.claims.iat;
                // A client may have refreshed its token before its first event: it waits since the issue of its first token.
                ResumeFrom::IssuedAt(self.since.map_or(issued, |since| since.min(issued)))
            }
        }
    }
}

/// Truncates a cursor to [`MAX_EVENT_ID`] bytes.
fn truncated(cursor: impl AsRef<str>) -> String {
    let cursor = cursor.as_ref();
    let end = cursor.floor_char_boundary(MAX_EVENT_ID);
    cursor.get(..end).unwrap_or_default().to_owned()
}

/// The subscriptions whose replay has not begun and whose call has no response yet, by socket. Each socket has at most one, since
/// the next subscription replaces it.
#[derive(Default)]
pub(crate) struct Waiting(RefCell<BTreeMap<u32, (u32, String)>>);

impl Waiting {
    fn begin(&self, socket: u32, replay: &Replay, id: &str) -> Result<()> {
        self.0.try_borrow_mut()?.insert(socket, (replay.number(), id.to_owned()));
        Ok(())
    }

    /// Ends the wait of a replay, unless it has ended already.
    fn end(&self, socket: u32, replay: &Replay) -> Result<()> {
        let mut waiting = self.0.try_borrow_mut()?;
        if waiting.get(&socket).is_some_and(|(number, _)| *number == replay.number()) {
            waiting.remove(&socket);
        }
        Ok(())
    }

    /// Removes the subscription of this call. Returns whether it was waiting, so that its call has no response yet.
    fn take(&self, socket: u32, id: &str) -> Result<bool> {
        let mut waiting = self.0.try_borrow_mut()?;
        let is_waiting = waiting.get(&socket).is_some_and(|(_, other)| other == id);
        if is_waiting {
            waiting.remove(&socket);
        }
        Ok(is_waiting)
    }
}

/// Returns the response to `/subscribe`, with a gap notification if there is a gap.
fn answer(id: &str, gap: Option<EventId>, has_flow_control: bool) -> String {
    let gap = gap.map(|gap| gap.to_string());
    let gap = gap.iter().map(|gap| (GAP_HEADER, gap.as_str()));
    let headers: Vec<(&str, &str)> = gap.chain(has_flow_control.then_some(FLOW_HEADER)).collect();
    stream_response(id, &headers)
}

/// The application's handler of a new subscription. It receives whether the client had no cursor, and the id of the first event after
/// a gap, if there was one.
pub(crate) type OnLive<'a> = &'a dyn Fn(bool, Option<EventId>) -> Result<()>;

/// Runs a subscription: sends the missed events in steps, calls `on_live`, and then makes it live.
///
/// During the replay the subscription receives no live events; they are read from the log. The last step, the change to live and
/// `on_live` run in the same turn of the event loop, so that no event is lost or sent twice.
pub(crate) async fn subscribe(
    core: &ChannelCore,
    ws: &RawSocket,
    ask: &Subscribe,
    on_live: OnLive<'_>,
) -> Result<()> {
    let replay = core.hub.start_replay(ws, &ask.id, runtime::now_ms())?;
    let mut session = core.sessions.read_to_change(ws)?;
    let unfinished = session.unfinished.take().filter(|_| ask.last_event_id.is_some());
    session.is_parked = false;
    let previous = session.subscription.replace(replaying(ask));
    if let Some(previous) = previous {
        core.sessions.write(ws, session.clone())?;
        replaced(core, ws, &previous.id)?;
    }
    let result = run(core, ws, ask, &replay, session, unfinished, on_live).await;
    core.hub.end_replay(ws, &replay)?;
    result
}

/// Returns the subscription of a call whose replay begins.
fn replaying(ask: &Subscribe) -> Subscription {
    Subscription { id: ask.id.clone(), live: false, flow: ask.has_flow_control.then(Flow::default) }
}

/// Returns the subscription of a call that is live from now on.
fn live(core: &ChannelCore, ask: &Subscribe) -> Result<Subscription> {
    let flow = match ask.has_flow_control {
        true => Some(core.with_log(|log, _| Ok::<_, Error>(Flow::from(log.position())))?),
        false => None,
    };
    Ok(Subscription { id: ask.id.clone(), live: true, flow })
}

async fn run(
    core: &ChannelCore,
    ws: &RawSocket,
    ask: &Subscribe,
    replay: &Replay,
    mut session: Session,
    unfinished: Option<Unfinished>,
    on_live: OnLive<'_>,
) -> Result<()> {
    if replay.wait_ms > 0 {
        core.sessions.write(ws, session)?;
        let socket = ws.id()?;
        core.waiting.begin(socket, replay, &ask.id)?;
        let paused = runtime::pause(replay.wait_ms).await;
        core.waiting.end(socket, replay)?;
        paused?;
        let Some(now) = still(core, ws, replay)? else { return Ok(()) };
        session = now;
        if session.is_expired(runtime::now_ms()) {
            core.sessions.write(ws, Session { subscription: None, unfinished, ..session })?;
            reject_expired(core, ws, &ask.id, unfinished.is_some());
            return Ok(());
        }
    }
    core.note_token(session.claims.iat, session.claims.exp);
    let from = ask.from(&session, core.options.durable_iterators_start_live);
    let begun = begin(core, Kind::Client, ask, from)?;
    let gap = begun.resume.gap;
    if ws.send_text(&answer(&ask.id, gap, ask.has_flow_control)).is_err() && begun.first.is_none() {
        return Ok(()); // the socket has closed
    }
    let mut began = unfinished.unwrap_or(Unfinished { is_first: ask.last_event_id.is_none(), gap: None });
    began.gap = gap.map(EventId::as_micros).or(began.gap);
    deliver(core, ws, ask, replay, session, begun, Some((began, on_live))).await
}

/// Subscribes the socket of a publisher's subscriber, which has no call. Without a cursor it receives only the events that are
/// published from now on.
///
/// Returns the id of the first event after a gap, and a future that sends the missed events. Its first poll sends the first step.
pub(crate) fn subscribe_publisher(
    core: &Rc<ChannelCore>,
    ws: &RawSocket,
    last_event_id: Option<&str>,
) -> Result<(Option<EventId>, impl Future<Output = Result<()>> + use<>)> {
    let session = core.sessions.read_to_change(ws)?;
    let id = session.subscription.as_ref().map(|subscription| subscription.id.clone()).unwrap_or_default();
    let ask =
        Subscribe { id, last_event_id: last_event_id.map(truncated), since: None, has_flow_control: false };
    let replay = core.hub.start_replay(ws, &ask.id, runtime::now_ms())?;
    let from = ask.last_event_id.as_deref().map_or(ResumeFrom::End, ResumeFrom::LastEventId);
    let begun = begin(core, Kind::Publisher, &ask, from)?;
    let gap = begun.resume.gap;
    let (core, ws) = (Rc::clone(core), ws.clone());
    let rest = async move {
        let delivered = deliver(&core, &ws, &ask, &replay, session, begun, None).await;
        core.hub.end_replay(&ws, &replay)?;
        delivered
    };
    Ok((gap, rest))
}

/// Sends the missed events of a subscription in steps, and makes it live.
///
/// `client` contains what is stored if the client must first read what was sent, and the application's handler. It is `None` for a
/// publisher's subscriber, which cannot subscribe again by itself: it is sent all missed events.
async fn deliver(
    core: &ChannelCore,
    ws: &RawSocket,
    ask: &Subscribe,
    replay: &Replay,
    mut session: Session,
    Begun { resume, first, now_us }: Begun,
    client: Option<(Unfinished, OnLive<'_>)>,
) -> Result<()> {
    let kind = session.kind;
    let head = match kind {
        Kind::Client => head(&ask.id),
        Kind::Publisher => String::new(), // its rows are whole messages
    };
    let mut after = resume.after;
    let mut work = 0_u64;
    let mut is_noted = false;
    let mut first = Some(first);
    loop {
        let step = match first.take() {
            Some(first) => first,
            None => open_step(core, kind, after, now_us)?,
        };
        let Some((end, cursor)) = step else {
            session.subscription = Some(live(core, ask)?);
            let was_member = presence::arrive(core, ws, &mut session);
            core.hub.go_live(ws, ask.has_flow_control)?;
            core.sessions.write(ws, session)?;
            let Some((Unfinished { is_first, gap }, on_live)) = client else { return Ok(()) };
            let gap = gap.map(EventId::saturating);
            return presence::welcome(core, ws, was_member, || {
                on_live(is_first, gap).or_else(|error| fail(core, ws, &ask.id, &error))
            });
        };
        let admits = |audience: &str| {
            session.claims.has_every_audience
                || AudienceRule::stored(Some(audience)).admits(
                    session.connection.as_deref(),
                    &session.claims.tags,
                    false, // the log stores the connection ids of chosen sockets
                )
        };
        let make_safe = |row: &str| core.safe_tail(row, kind);
        let Some(step) = core.hub.replay(&cursor, ws, &head, &admits, &make_safe)? else {
            return Ok(()); // the socket has closed
        };
        after = step.last.unwrap_or(end);
        work = work.saturating_add(step.work);
        if work < STEP_BYTES {
            continue; // this turn has room for more, or for going live
        }
        work = 0;

        // Stored only if the replay takes several turns: an instance that is interrupted must leave a subscription that is not live.
        if !is_noted {
            core.sessions.write(ws, session)?;
            is_noted = true;
        }
        // No asynchronous transaction is open afterwards: the Workers runtime delays timers while there is one.
        runtime::next_turn().await?;
        let Some(now) = still(core, ws, replay)? else { return Ok(()) };
        session = now;
        if session.is_expired(runtime::now_ms()) {
            expire(core, ws);
            return Ok(());
        }
        if core.with_log(|log, _| Ok::<_, Error>(log.has_dropped_after(after)))? {
            // Missed events were deleted during the replay. The client reconnects and receives a gap notification.
            core.counters.report(Anomaly::ReplayOutrun);
            let _ = ws.close(close_code::RESTART, "Replay outrun"); // an error means that the socket is closing already
            return Ok(());
        }
        let Some((unfinished, _)) = client else { continue };
        let is_unfinished = core.with_log(|log, _| Ok::<_, Error>(log.step(after, now_us, "").is_some()))?;
        if is_unfinished && !core.hub.has_room(ws)? {
            return interrupt(core, ws, Session { unfinished: Some(unfinished), ..session }, Some(after));
        }
    }
}

/// A step of a replay: the id at which it ends if it has no rows, and the cursor over its rows, which must be read to the end.
type OpenStep = (u64, Cursor);

/// The start of a subscription.
struct Begun {
    resume: Resume,
    /// The first step of the replay.
    first: Option<OpenStep>,
    /// The time of the whole replay, in microseconds since 1970: the response states a gap for the events that are retained then.
    now_us: u64,
}

/// Returns the start of a subscription. Its first step is opened before the response is sent, since its statement fails if the log's
/// tables were deleted: the log is then opened again and reports the gap. A gap is counted.
fn begin(core: &ChannelCore, kind: Kind, ask: &Subscribe, from: ResumeFrom<'_>) -> Result<Begun> {
    let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
    let begun = try_begin(core, kind, ask, from, now_us);
    let begun = begun.or_else(|error| match error.is_storage_failure() {
        true => try_begin(core, kind, ask, from, now_us),
        false => Err(error),
    })?;
    if begun.resume.gap.is_some() {
        core.counters.report(Anomaly::Gap);
    }
    Ok(begun)
}

fn try_begin(
    core: &ChannelCore,
    kind: Kind,
    ask: &Subscribe,
    from: ResumeFrom<'_>,
    now_us: u64,
) -> Result<Begun> {
    let mut resume = core.with_log(|log, sql| log.resume(sql, now_us, from))?;
    let begins_with_snapshot = core.options.begins_with_snapshot && kind == Kind::Client;
    if begins_with_snapshot && (ask.last_event_id.is_none() || resume.gap.is_some()) {
        // No event is replayed: it would give the client a cursor, as if the client had received the snapshot.
        let end = core.with_log(|log, sql| log.resume(sql, now_us, ResumeFrom::End))?;
        let next = EventId::saturating(end.after.saturating_add(1));
        resume = Resume { gap: ask.last_event_id.as_ref().and(resume.gap).map(|_| next), ..end };
    }
    Ok(Begun { resume, first: open_step(core, kind, resume.after, now_us)?, now_us })
}

/// Opens the next step of a replay. Returns `None` once all events have been sent.
fn open_step(core: &ChannelCore, kind: Kind, after: u64, now_us: u64) -> Result<Option<OpenStep>> {
    let expression = match kind {
        Kind::Client => event_expression(),
        Kind::Publisher => publisher_expression(),
    };
    core.with_log(|log, sql| {
        let Some(step) = log.step(after, now_us, &expression) else { return Ok(None) };
        let cursor = sql.open(&step.sql, &step.params.map(Param::Number))?;
        Ok::<_, Error>(Some((step.end, cursor)))
    })
}

/// Ends a replay of which the client must first read what was sent. The client continues after the last event that it has received,
/// or without one after the event `after`.
fn interrupt(core: &ChannelCore, ws: &RawSocket, mut session: Session, after: Option<u64>) -> Result<()> {
    if session.is_present() {
        presence::arrive(core, ws, &mut session); // an earlier version may not have recorded it
    }
    let Some(Subscription { id, flow, live }) = session.subscription.take() else { return Ok(()) };
    session.is_parked = true;
    core.sessions.write(ws, session)?;
    // Without flow control every long replay is sent in parts, which is nothing unusual.
    if live || flow.is_some() {
        core.counters.report(Anomaly::Parked);
    }
    let item = match flow {
        Some(_) => parked(&id, after),
        None => {
            let meta = EventMeta { retry: Some(CONTINUE_AFTER_MS), ..EventMeta::default() }.checked()?;
            let error = Error::new(Code::ServiceUnavailable)
                .message("Subscribe again to receive further missed events.");
            stream_event(&id, StreamEventKind::Error, Some(&error.body().to_wire()), Some(&meta))
        }
    };
    let _ = ws.send_text(&item); // an error means that the socket has closed
    Ok(())
}

/// Parks a live subscription that has no room: it receives nothing more, and its client subscribes again after the event `after` as
/// soon as it has read what was sent.
pub(crate) fn park(core: &ChannelCore, ws: &RawSocket, after: Option<u64>) {
    let Ok(session) = core.sessions.read_to_change(ws) else { return }; // the socket has closed
    if let Err(error) = interrupt(core, ws, session, after) {
        // Without its attachment the socket would receive nothing more.
        runtime::log_error(&format!("parking a subscription failed, closing its socket: {error}"));
        let _ = ws.close(close_code::RESTART, "Session unwritable");
    }
}

/// Handles an acknowledgement. It is ignored unless it is for the socket's subscription, and that has flow control.
pub(crate) fn acknowledge(
    core: &ChannelCore,
    ws: &RawSocket,
    session: &Session,
    id: &str,
    characters: u64,
) -> Result<()> {
    let subscription = session.subscription.as_ref().filter(|subscription| subscription.id == id);
    let Some((subscription, flow)) =
        subscription.and_then(|subscription| Some((subscription, subscription.flow?)))
    else {
        return Ok(());
    };
    let known = core.room(flow, 0);
    let left = core.hub.acknowledge(ws, characters, known)?;
    if subscription.live && known < left {
        // Otherwise the first event after hibernation would find no room.
        let position = core.with_log(|log, _| Ok::<_, Error>(log.position()))?;
        let unacknowledged = LIVE_WINDOW.saturating_sub(left);
        if let Some(flow) = Flow::before(position, unacknowledged) {
            let subscription = Some(Subscription { flow: Some(flow), ..subscription.clone() });
            // An error means that the socket has closed.
            let _ = core.sessions.write(ws, Session { subscription, ..session.clone() });
        }
    }
    Ok(())
}

/// Ends a subscription with an error after `on_subscribed` has failed. The client's state may be incomplete, so it must subscribe
/// again, which clients do after an error.
fn fail(core: &ChannelCore, ws: &RawSocket, id: &str, error: &Error) -> Result<()> {
    runtime::log_error(&format!("on_subscribed failed, the client subscribes again: {error}"));
    let Ok(session) = core.sessions.read(ws) else { return Ok(()) }; // the socket has closed
    if abort(core, ws, &session, id)? {
        // An error means that the socket has closed.
        let _ = ws.send_text(&stream_event(id, StreamEventKind::Error, Some(&error.body().to_wire()), None));
    }
    Ok(())
}

/// Sends a snapshot to one live subscription. Its last event carries the id of the log's newest event as the cursor, so that only a
/// client that has received the whole snapshot resumes from there.
///
/// In a transaction the snapshot is sent after the commit, so that it follows the events that its cursor includes.
pub(crate) fn send_snapshot(core: &ChannelCore, ws: &RawSocket, bodies: Vec<Serialized>) -> Result<()> {
    if !bodies.iter().all(Serialized::has_plain_root) {
        return Err(PublishError::NotAnObject.into());
    }
    let end = core.last_event_id()?;
    let position = EventMeta { id: end.map(|id| id.to_string()), ..EventMeta::default() }.checked()?;
    let ws = ws.clone();
    core.send_on_commit(None, move |core| {
        let Ok(session) = core.sessions.read(&ws) else { return }; // the socket has closed
        let Some(subscription) = session.subscription.as_ref().filter(|subscription| subscription.live)
        else {
            return;
        };
        let last = bodies.len().saturating_sub(1);
        for (n, body) in bodies.iter().enumerate() {
            let meta = (n == last).then_some(&position);
            let event = stream_event(&subscription.id, StreamEventKind::Message, Some(body), meta);
            // A snapshot is sent whole, since its first events have no cursor.
            let _ = take_room(core, &ws, subscription, &event);
            if ws.send_text(&event).is_err() {
                return; // the socket has closed
            }
        }
    })
}

/// Returns the current session after other tasks ran, or `None` if the replay must stop: the client has disconnected, aborted the
/// subscription or subscribed again. The session is read again, since the application may have changed the attachment.
fn still(core: &ChannelCore, ws: &RawSocket, replay: &Replay) -> Result<Option<Session>> {
    if !core.hub.is_current(ws, replay)? {
        return Ok(None);
    }
    Ok(core.sessions.read_to_change(ws).ok().filter(|session| session.subscription.is_some()))
}

/// Ends the subscription if it is the call `id`, which the client has aborted. Returns whether it was.
pub(crate) fn abort(core: &ChannelCore, ws: &RawSocket, session: &Session, id: &str) -> Result<bool> {
    if session.subscription.as_ref().is_none_or(|subscription| subscription.id != id) {
        return Ok(false);
    }
    let mut session = session.clone();
    presence::departing(core, ws, &mut session);
    core.sessions.write(ws, Session { subscription: None, ..session })?;
    presence::settle(core);
    core.waiting.take(ws.id()?, id)?; // it gets no response
    Ok(true)
}

/// Ends the wait of a parked subscription, whose client has aborted a call that is not running: its own call has ended, so that its id
/// is not known.
pub(crate) fn unpark(core: &ChannelCore, ws: &RawSocket, session: &Session) -> Result<()> {
    if session.is_parked {
        let mut session = session.clone();
        presence::departing(core, ws, &mut session);
        core.sessions.write(ws, Session { is_parked: false, ..session })?;
        presence::settle(core);
    }
    Ok(())
}

/// Handles a socket whose token has expired. The socket of a `DurableIterator` client is closed: the client reconnects with a new
/// token. For a `DurableEventIterator` client the subscription ends without an error and the socket stays open: oRPC's client would
/// reconnect with the expired token again and again.
pub(crate) fn expire(core: &ChannelCore, ws: &RawSocket) {
    let Ok(mut session) = core.sessions.read_to_change(ws) else { return };
    if session.claims.is_durable_iterator {
        core.close_client(ws, close_code::POLICY, "Token expired");
        return presence::settle(core);
    }
    presence::departing(core, ws, &mut session);
    let was_parked = std::mem::take(&mut session.is_parked);
    let Some(Subscription { id, .. }) = session.subscription.take() else {
        if was_parked {
            let _ = core.sessions.write(ws, session); // an error means that the socket has closed
            presence::settle(core);
        }
        return;
    };
    let ended = core.sessions.write(ws, session).and_then(|()| core.waiting.take(ws.id()?, &id));
    presence::settle(core);
    match ended {
        Ok(false) => end(ws, &id),
        Ok(true) => ws.answer(expired_response(&id, &Error::token_expired().body())),
        Err(error) => runtime::log_error(&format!("ending an expired subscription failed: {error}")),
    }
}

/// Rejects a call that arrives after its token has expired. A subscription that continues an unfinished replay ends without an error
/// instead, as if the token had expired during the replay: oRPC's clients would repeat it endlessly.
pub(crate) fn reject_expired(core: &ChannelCore, ws: &RawSocket, id: &str, is_unfinished: bool) {
    expire(core, ws);
    // The socket of a `DurableIterator` client has been closed, so these messages have no effect.
    if is_unfinished {
        let _ = ws.send_text(&answer(id, None, false));
        end(ws, id);
    } else {
        ws.answer(expired_response(id, &Error::token_expired().body()));
    }
}

/// Sends a live event to sockets, in a transaction after the commit. It is not stored and has no id, so that it does not change the
/// cursors of its clients.
pub(crate) fn send_live(core: &ChannelCore, sockets: Vec<RawSocket>, body: Serialized) -> Result<()> {
    // Events that the transaction publishes afterwards are sent afterwards. Without the log, a client continues after its last event.
    let before = core.last_event_id().ok().flatten();
    core.send_on_commit(None, move |core| {
        sockets.iter().for_each(|ws| send_live_to(core, ws, &body, before));
    })
}

/// Sends a live event to one socket. `before` is the id of the newest event that was sent before.
fn send_live_to(core: &ChannelCore, ws: &RawSocket, body: &Serialized, before: Option<EventId>) {
    let Ok(session) = core.sessions.read(ws) else { return };
    let Some(subscription) = session.subscription.as_ref().filter(|subscription| subscription.live) else {
        return;
    };
    if session.is_expired(runtime::now_ms()) {
        return expire(core, ws);
    }
    let event = stream_event(&subscription.id, StreamEventKind::Message, Some(body), None);
    if take_room(core, ws, subscription, &event) {
        // An error means that the socket has closed.
        if ws.send_text(&event).is_ok() {
            core.counters.count_live();
        }
    } else {
        // Not above the log, which an inner transaction may have rolled back.
        let end = core.last_event_id().ok().flatten().min(before);
        park(core, ws, end.map(EventId::as_micros));
    }
}

/// Takes a message from the room of a live subscription. Returns `false` if it has flow control and no room.
fn take_room(core: &ChannelCore, ws: &RawSocket, subscription: &Subscription, message: &str) -> bool {
    let Some(flow) = subscription.flow else { return true };
    let characters = message.encode_utf16().count() as u64;
    core.hub.take(ws, characters, core.room(flow, 0)).unwrap_or_default()
}

/// Ends the previous subscription of a socket without an error, also if its call has no response yet. An error would make oRPC's
/// clients subscribe again, which would replace the new subscription, and so on.
fn replaced(core: &ChannelCore, ws: &RawSocket, id: &str) -> Result<()> {
    if core.waiting.take(ws.id()?, id)? {
        // An error means that the socket has closed.
        let _ = ws.send_text(&answer(id, None, false));
    }
    end(ws, id);
    Ok(())
}

fn end(ws: &RawSocket, id: &str) {
    // An error means that the socket has closed.
    let _ = ws.send_text(&stream_event(id, StreamEventKind::Done, None, None));
}
