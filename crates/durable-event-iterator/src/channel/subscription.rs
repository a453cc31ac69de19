//! A subscription's life: resume and replay, live, and its end.

use super::replay_row::event_expression;
use crate::{
    channel::{ChannelCore, MICROS_PER_MILLI, audience::AudienceRule},
    error::{Error, PublishError, Result},
    runtime::{self, Cursor, RawSocket, Replay},
    socket::{
        close_code,
        session::{Session, Subscription},
    },
};
use durable_event_log::{EventId, Param, Resume, ResumeFrom, STEP_BYTES};
use durable_event_wire::{
    EventMeta, Serialized, Value,
    frame::{Headers, StreamEventKind, expired_response, head, stream_event, stream_response},
    parse,
};

use std::{cell::RefCell, collections::BTreeMap};

/// Tells a client in the answer to its `/subscribe` that something it missed is no longer there, and from which event
/// id on everything is.
const GAP_HEADER: &str = "x-durable-event-gap";

/// By this header of `/subscribe` a client that has seen no event yet says since when it waits, in seconds since the epoch:
/// the issuing of its first token. What it gets by it, it could also get by any `last-event-id`.
const SINCE_HEADER: &str = "x-durable-event-since";

/// Reads the value of [`SINCE_HEADER`]; none if it is no number.
fn read_since(text: &str) -> Option<f64> {
    match parse(Some(text), None) {
        Ok(Value::Number(since)) => Some(since.as_f64()),
        _ => None,
    }
}

/// No id of an event is longer, in bytes. What is longer is cut, which does not make it one: it is kept as long as a replay lasts.
const MAX_EVENT_ID: usize = 64;

/// What a client asks for with `/subscribe`.
pub(crate) struct Subscribe {
    /// The id of the call.
    pub(crate) id: String,
    /// The id of the last event that it has seen.
    pub(crate) last_event_id: Option<String>,
    /// Without such an event: since when it waits, in seconds since the epoch, if it says so.
    pub(crate) since: Option<f64>,
}

impl Subscribe {
    pub(crate) fn new(id: String, headers: &Headers<'_>) -> Self {
        let since = headers.get(SINCE_HEADER).and_then(read_since);
        let last_event_id = headers.get("last-event-id").map(|id| {
            let end = id.floor_char_boundary(MAX_EVENT_ID);
            id.get(..end).unwrap_or_default().to_owned()
        });
        Self { id, last_event_id, since }
    }

    /// From where the replay goes on.
    pub(crate) fn from(&self, session: &Session, durable_iterators_start_live: bool) -> ResumeFrom<'_> {
        match self.last_event_id.as_deref() {
            Some(id) => ResumeFrom::LastEventId(id),
            None if session.claims.is_durable_iterator && durable_iterators_start_live => ResumeFrom::End,
            None => {
                let issued = session.claims.iat;
                // A client that has renewed its token before its first event has waited since the first one.
                ResumeFrom::IssuedAt(self.since.map_or(issued, |since| since.min(issued)))
            }
        }
    }
}

/// The subscriptions that wait for their replay to begin, by socket: they have not been answered yet. No more than one for each
/// socket, since the next one takes its place.
#[derive(Default)]
pub(crate) struct Waiting(RefCell<BTreeMap<u32, (u32, String)>>);

impl Waiting {
    fn begin(&self, socket: u32, replay: &Replay, id: &str) -> Result<()> {
        self.0.try_borrow_mut()?.insert(socket, (replay.number(), id.to_owned()));
        Ok(())
    }

    /// The wait of a replay is over, if it has not been before.
    fn end(&self, socket: u32, replay: &Replay) -> Result<()> {
        let mut waiting = self.0.try_borrow_mut()?;
        if waiting.get(&socket).is_some_and(|(number, _)| *number == replay.number()) {
            waiting.remove(&socket);
        }
        Ok(())
    }

    /// Takes out the subscription of this call. Returns whether it was waiting, and so has not been answered.
    fn take(&self, socket: u32, id: &str) -> Result<bool> {
        let mut waiting = self.0.try_borrow_mut()?;
        let is_waiting = waiting.get(&socket).is_some_and(|(_, other)| other == id);
        if is_waiting {
            waiting.remove(&socket);
        }
        Ok(is_waiting)
    }
}

/// The answer to `/subscribe`.
pub(crate) fn answer(id: &str, gap: Option<EventId>) -> String {
    let gap = gap.map(|gap| gap.to_string());
    let headers: Vec<(&str, &str)> = gap.iter().map(|gap| (GAP_HEADER, gap.as_str())).collect();
    stream_response(id, &headers)
}

/// What the application does in the moment in which a subscription goes live: it gets the id after a gap, if there was one.
pub(crate) type OnLive<'a> = &'a dyn Fn(Option<EventId>) -> Result<()>;

/// Answers `/subscribe`: what was missed, in steps, then what `on_live` sends, then live.
///
/// Until it has caught up, the subscription gets nothing live: it reads that from the log. The last step, going live and
/// `on_live` are one synchronous section, so that no event falls between them or comes twice.
pub(crate) async fn subscribe(
    core: &ChannelCore,
    ws: &RawSocket,
    ask: &Subscribe,
    on_live: OnLive<'_>,
) -> Result<()> {
    let replay = core.hub.start_replay(ws, &ask.id, runtime::now_ms())?;
    let mut session = core.sessions.read_to_change(ws)?;
    let previous = session.subscription.replace(Subscription { id: ask.id.clone(), live: false });
    if let Some(previous) = previous {
        core.sessions.write(ws, session.clone())?;
        replaced(core, ws, &previous.id)?;
    }
    let result = run(core, ws, ask, &replay, session, on_live).await;
    core.hub.end_replay(ws, &replay)?;
    result
}

async fn run(
    core: &ChannelCore,
    ws: &RawSocket,
    ask: &Subscribe,
    replay: &Replay,
    mut session: Session,
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
            core.sessions.write(ws, Session { subscription: None, ..session })?;
            refuse_expired(core, ws, &ask.id);
            return Ok(());
        }
    }
    core.note_token(session.claims.iat, session.claims.exp);
    let from = ask.from(&session, core.options.durable_iterators_start_live);
    // One time for the whole replay: the answer promises what is retained now.
    let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
    let begun = begin(core, ask, from, now_us);
    // Its first statement has shown that the log's tables are gone: the log is opened again, and knows of the gap.
    let begun = begun.or_else(|error| match error.is_storage_failure() {
        true => begin(core, ask, from, now_us),
        false => Err(error),
    });
    let (resume, first) = begun?;
    if ws.send_text(&answer(&ask.id, resume.gap)).is_err() && first.is_none() {
        return Ok(()); // the socket has gone
    }

    let head = head(&ask.id);
    let mut after = resume.after;
    let mut work = 0_u64;
    let mut is_noted = false;
    let mut first = Some(first);
    loop {
        let step = match first.take() {
            Some(first) => first,
            None => open_step(core, after, now_us)?,
        };
        let Some((end, cursor)) = step else {
            session.subscription = Some(Subscription { id: ask.id.clone(), live: true });
            core.sessions.write(ws, session)?;
            return on_live(resume.gap).or_else(|error| fail(core, ws, &ask.id, &error));
        };
        let admits = |audience: &str| {
            AudienceRule::stored(Some(audience)).admits(
                session.connection.as_deref(),
                &session.claims.tags,
                false, // an id is what remains of a socket that was chosen
            )
        };
        let Some(step) = core.hub.replay(&cursor, ws, &head, &admits, &|row| core.safe_tail(row))? else {
            return Ok(()); // the socket has gone
        };
        after = step.last.unwrap_or(end);
        work = work.saturating_add(step.work);
        if work < STEP_BYTES {
            continue; // this turn has room for more, or for going live
        }
        work = 0;

        // Half-way, for whoever finds it; what ends in its first turn is only ever live.
        if !is_noted {
            core.sessions.write(ws, session)?;
            is_noted = true;
        }
        // Not within a transaction: while an asynchronous one is open, the runtime holds back timers too.
        runtime::next_turn().await?;
        let Some(now) = still(core, ws, replay)? else { return Ok(()) };
        session = now;
        if session.is_expired(runtime::now_ms()) {
            expire(core, ws);
            return Ok(());
        }
        if core.with_log(|log, _| Ok::<_, Error>(log.has_dropped_after(after)))? {
            // What was promised has gone over its bounds or was deleted meanwhile: the client reconnects and receives a gap notification.
            let _ = ws.close(close_code::RESTART, "Replay outrun"); // an error is a socket that is closing already
            return Ok(());
        }
    }
}

/// A step of a replay: where it ends if it has no rows, and its rows, which must be read to the end.
type OpenStep = (u64, Cursor);

/// From where a subscription is served, and its first step, which is opened before the answer: its statement shows whether the
/// tables that the answer promises are there.
fn begin(
    core: &ChannelCore,
    ask: &Subscribe,
    from: ResumeFrom<'_>,
    now_us: u64,
) -> Result<(Resume, Option<OpenStep>)> {
    let mut resume = core.with_log(|log, sql| log.resume(sql, now_us, from))?;
    if core.options.begins_with_snapshot && (ask.last_event_id.is_none() || resume.gap.is_some()) {
        // Any event before the snapshot would give the client a place that looks as if it had one.
        let end = core.with_log(|log, sql| log.resume(sql, now_us, ResumeFrom::End))?;
        let next = EventId::saturating(end.after.saturating_add(1));
        resume = Resume { gap: ask.last_event_id.as_ref().and(resume.gap).map(|_| next), ..end };
    }
    Ok((resume, open_step(core, resume.after, now_us)?))
}

/// The next step of a replay; `None` once everything has been sent.
fn open_step(core: &ChannelCore, after: u64, now_us: u64) -> Result<Option<OpenStep>> {
    core.with_log(|log, sql| {
        let Some(step) = log.step(after, now_us, &event_expression()) else { return Ok(None) };
        let cursor = sql.open(&step.sql, &step.params.map(Param::Number))?;
        Ok::<_, Error>(Some((step.end, cursor)))
    })
}

/// What the application does on subscribing has failed. What its client holds may not be whole, so it is not left with it: it
/// subscribes anew, which clients do by themselves after an error.
fn fail(core: &ChannelCore, ws: &RawSocket, id: &str, error: &Error) -> Result<()> {
    runtime::log_error(&format!("on_subscribed failed, its client subscribes anew: {error}"));
    let Ok(session) = core.sessions.read(ws) else { return Ok(()) }; // the socket has gone
    if abort(core, ws, &session, id)? {
        // An error is a socket that has gone.
        let _ = ws.send_text(&stream_event(id, StreamEventKind::Error, Some(&error.body().to_wire()), None));
    }
    Ok(())
}

/// Sends a live subscription events of its own. The last of them carries the position of the log's end, so that a client
/// that has them all resumes from there, and one that has not does not.
///
/// In a transaction it waits for the commit, so that it comes after the events that its position includes.
pub(crate) fn send_snapshot(core: &ChannelCore, ws: &RawSocket, bodies: Vec<Serialized>) -> Result<()> {
    if !bodies.iter().all(Serialized::has_plain_root) {
        return Err(PublishError::NotAnObject.into());
    }
    let end = core.with_log(|log, _| Ok::<_, Error>(log.last_id()))?;
    let position = EventMeta { id: end.map(|id| id.to_string()), ..EventMeta::default() }.checked()?;
    let ws = ws.clone();
    core.send_on_commit(None, move |core| {
        let Ok(session) = core.sessions.read(&ws) else { return }; // the socket has gone
        let Some(subscription) = session.subscription.as_ref().filter(|subscription| subscription.live)
        else {
            return;
        };
        let last = bodies.len().saturating_sub(1);
        for (n, body) in bodies.iter().enumerate() {
            let meta = (n == last).then_some(&position);
            let event = stream_event(&subscription.id, StreamEventKind::Message, Some(body), meta);
            if ws.send_text(&event).is_err() {
                return; // the socket has gone
            }
        }
    })
}

/// The session as it is after others had their say, if the replay is still to go on: the client may have left, aborted, or
/// subscribed anew, and the application may have changed its part.
fn still(core: &ChannelCore, ws: &RawSocket, replay: &Replay) -> Result<Option<Session>> {
    if !core.hub.is_current(ws, replay)? {
        return Ok(None);
    }
    Ok(core.sessions.read_to_change(ws).ok().filter(|session| session.subscription.is_some()))
}

/// The client has ended the stream of its call `id`. Answers whether that was its subscription.
pub(crate) fn abort(core: &ChannelCore, ws: &RawSocket, session: &Session, id: &str) -> Result<bool> {
    if session.subscription.as_ref().is_none_or(|subscription| subscription.id != id) {
        return Ok(false);
    }
    core.sessions.write(ws, Session { subscription: None, ..session.clone() })?;
    core.waiting.take(ws.id()?, id)?; // nothing more is sent for it
    Ok(true)
}

/// The token behind a socket has expired. A client of generation 2 comes back with the next one when its socket is
/// closed. A stock client of generation 1 would come back with the same dead token for ever: its iteration ends cleanly,
/// and its socket stays.
pub(crate) fn expire(core: &ChannelCore, ws: &RawSocket) {
    let Ok(mut session) = core.sessions.read_to_change(ws) else { return };
    if session.claims.is_durable_iterator {
        let _ = ws.close(close_code::POLICY, "Token expired"); // an error is a socket that is closing already
        return;
    }
    let Some(Subscription { id, .. }) = session.subscription.take() else { return };
    let ended = core.sessions.write(ws, session).and_then(|()| core.waiting.take(ws.id()?, &id));
    match ended {
        Ok(false) => end(ws, &id),
        Ok(true) => ws.answer(expired_response(&id, &Error::token_expired().body())),
        Err(error) => runtime::log_error(&format!("ending an expired subscription failed: {error}")),
    }
}

/// The answer to a call that comes after its token has expired.
pub(crate) fn refuse_expired(core: &ChannelCore, ws: &RawSocket, id: &str) {
    expire(core, ws);
    // For generation 2 the socket has been closed, and this goes nowhere.
    ws.answer(expired_response(id, &Error::token_expired().body()));
}

/// Sends an event that is not stored. It has no id, so that it does not move the position to resume from.
pub(crate) fn send_live(core: &ChannelCore, ws: &RawSocket, body: &Serialized) {
    let Ok(session) = core.sessions.read(ws) else { return };
    let Some(subscription) = session.subscription.as_ref().filter(|subscription| subscription.live) else {
        return;
    };
    if session.is_expired(runtime::now_ms()) {
        expire(core, ws);
    } else {
        // An error is a socket that has gone.
        let _ = ws.send_text(&stream_event(&subscription.id, StreamEventKind::Message, Some(body), None));
    }
}

/// The client has subscribed anew on the same socket: the iteration of its subscription before ends cleanly, also where it has not
/// been answered yet. An error would make stock clients subscribe again, which would replace the new one, without end.
fn replaced(core: &ChannelCore, ws: &RawSocket, id: &str) -> Result<()> {
    if core.waiting.take(ws.id()?, id)? {
        // An error is a socket that has gone.
        let _ = ws.send_text(&answer(id, None));
    }
    end(ws, id);
    Ok(())
}

fn end(ws: &RawSocket, id: &str) {
    // An error is a socket that has gone.
    let _ = ws.send_text(&stream_event(id, StreamEventKind::Done, None, None));
}
