//! A subscription's life: resume and replay, live, and its end.

use crate::{
    audience::AudienceRule,
    channel::{ChannelCore, MICROS_PER_MILLI},
    error::{Error, Result},
    log::{EventId, Param, ResumeFrom, STEP_BYTES},
    runtime::{self, RawSocket},
    session::{Session, Subscription},
    socket::{read_session, write_session},
    wire::{Serialized, StreamEventKind, head, stream_event, stream_response},
};

/// Tells a client in the answer to its `/subscribe` that something it missed is no longer there, and from which event
/// id on everything is.
const GAP_HEADER: &str = "x-durable-event-gap";

/// By this header of `/subscribe` a client that has seen no event yet says since when it waits, in seconds since the epoch:
/// the issuing of its first token. What it gets by it, it could also get by any `last-event-id`.
pub(crate) const SINCE_HEADER: &str = "x-durable-event-since";

/// Close code "policy violation" (RFC 6455, section 7.4.1).
const POLICY: u16 = 1008;
/// Close code "internal error" (RFC 6455, section 7.4.1): the client comes back and resumes.
pub(crate) const INTERNAL_ERROR: u16 = 1011;
/// Close code "service restart" (IANA's registry): as above.
pub(crate) const RESTART: u16 = 1012;

/// Answers `/subscribe`: what was missed, in steps, then live.
///
/// Until it has caught up, the subscription gets nothing live: it reads that from the log. The last step and going
/// live are one synchronous section, so that no event falls between them or comes twice.
pub(crate) async fn subscribe(
    core: &ChannelCore,
    ws: &RawSocket,
    id: &str,
    last_event_id: Option<&str>,
    since: Option<f64>,
) -> Result<()> {
    let mut session = read_session(&core.hub, ws)?;
    if let Some(previous) = session.subscription.take() {
        end(ws, &previous.id);
    }
    let since = if session.claims.is_second && core.options.second_starts_live {
        f64::INFINITY // nothing that is there now
    } else {
        // A client that has renewed its token before its first event has waited since the first one.
        since.map_or(session.claims.iat, |since| since.min(session.claims.iat))
    };
    let from = last_event_id.map_or(ResumeFrom::IssuedAt(since), ResumeFrom::LastEventId);
    // One time for the whole replay: the answer promises what is retained now.
    let now_us = runtime::now_ms().saturating_mul(MICROS_PER_MILLI);
    let resume = core.with_log(|log, sql| log.resume(sql, now_us, from))?;
    let gap = resume.gap.map(|gap| gap.to_string());
    let headers: Vec<(&str, &str)> = gap.iter().map(|gap| (GAP_HEADER, gap.as_str())).collect();
    ws.send_text(&stream_response(id, &headers))?;

    let head = head(id);
    let mut after = resume.after;
    let mut sent = 0_u64;
    loop {
        let Some(step) = core.with_log(|log, _| Ok::<_, Error>(log.step(after, now_us)))? else {
            session.subscription = Some(Subscription { id: id.to_owned(), live: true });
            write_session(&core.hub, ws, &session)?;
            return Ok(core.hub.end_replay(ws)?);
        };
        if session.subscription.is_none() {
            session.subscription = Some(Subscription { id: id.to_owned(), live: false });
            write_session(&core.hub, ws, &session)?;
            core.hub.start_replay(ws)?;
        }
        let cursor = core.sql.open(&step.sql, &step.params.map(Param::Number))?;
        let admits = |audience: &str| {
            AudienceRule::stored(Some(audience)).admits(session.connection.as_deref(), &session.claims.tags)
        };
        let Some(replayed) = core.hub.replay(&cursor, ws, &head, &admits)? else {
            return Ok(core.hub.end_replay(ws)?); // the socket has gone
        };
        after = replayed.last.parse::<EventId>().map_or(step.end, EventId::as_micros);
        sent = sent.saturating_add(replayed.sent);
        if sent < STEP_BYTES {
            continue; // this turn has room for more, or for going live
        }
        sent = 0;

        runtime::next_turn().await?;
        // Others had their say: the client may have left or aborted, the application may have changed its part.
        let Ok(now) = read_session(&core.hub, ws) else { return Ok(core.hub.end_replay(ws)?) };
        session = now;
        match &session.subscription {
            Some(subscription) if subscription.id == id && !subscription.live => {}
            Some(_) => return Ok(()), // another subscription took over
            None => return Ok(core.hub.end_replay(ws)?),
        }
        if session.is_expired(runtime::now_ms()) {
            core.hub.end_replay(ws)?;
            expire(core, ws);
            return Ok(());
        }
        if core.with_log(|log, _| Ok::<_, Error>(log.has_dropped_after(after)))? {
            // What was promised has gone over its bounds meanwhile: the client comes back and is told of the gap.
            core.hub.end_replay(ws)?;
            return Ok(ws.close(RESTART, "Replay outrun")?);
        }
    }
}

/// The client has ended the stream of its call `id`. Answers whether that was its subscription.
pub(crate) fn abort(core: &ChannelCore, ws: &RawSocket, session: &mut Session, id: &str) -> Result<bool> {
    if session.subscription.as_ref().is_none_or(|subscription| subscription.id != id) {
        return Ok(false);
    }
    session.subscription = None;
    write_session(&core.hub, ws, session)?;
    Ok(true)
}

/// The token behind a socket has expired. A client of generation 2 comes back with the next one when its socket is
/// closed. A stock client of generation 1 would come back with the same dead token for ever: its iteration ends cleanly,
/// and its socket stays.
pub(crate) fn expire(core: &ChannelCore, ws: &RawSocket) {
    let Ok(mut session) = read_session(&core.hub, ws) else { return };
    if session.claims.is_second {
        let _ = ws.close(POLICY, "Token expired"); // an error is a socket that is closing already
        return;
    }
    if let Some(subscription) = session.subscription.take() {
        end(ws, &subscription.id);
        if let Err(error) = write_session(&core.hub, ws, &session) {
            runtime::log_error(&format!("ending an expired subscription failed: {error}"));
        }
    }
}

/// Sends an event that is not stored. It has no id, so that it does not move the position to resume from.
pub(crate) fn send_live(core: &ChannelCore, ws: &RawSocket, body: &Serialized) {
    let Ok(session) = read_session(&core.hub, ws) else { return };
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

fn end(ws: &RawSocket, id: &str) {
    // An error is a socket that has gone.
    let _ = ws.send_text(&stream_event(id, StreamEventKind::Done, None, None));
}
