//! Responses that are streams.

use crate::{
    error::{Error, Result},
    procedure::Item,
    runtime::{self, OpenStream, RawSocket},
    socket::{session::Session, session_store::SessionStore},
};
use durable_event_wire::{
    CheckedMeta, Serialized,
    frame::{StreamEventKind, stream_event, stream_response},
};
use futures_util::{StreamExt, stream::LocalBoxStream};

/// Number of items sent before yielding to the event loop, so that an endless stream does not block the Durable Object.
const ITEMS_PER_TURN: usize = 64;

/// Sends a stream's items until it ends, fails, or is aborted.
pub(super) async fn stream(
    sessions: &SessionStore,
    ws: &RawSocket,
    session: &Session,
    id: &str,
    mut items: LocalBoxStream<'static, Result<Item>>,
) {
    let send_event = |kind, data: Option<&Serialized>, meta: Option<&CheckedMeta>| {
        ws.send_text(&stream_event(id, kind, data, meta)).is_ok()
    };
    // The stored session decides, since a token refresh may have replaced the token. Without a session the socket has closed.
    let is_over = || {
        let now = runtime::now_ms();
        session.is_expired(now) && sessions.read(ws).is_ok_and(|session| session.is_expired(now))
    };
    if ws.send_text(&stream_response(id, &[])).is_err() {
        return;
    }
    let _open = OpenStream::new(ws.clone(), id.to_owned());
    let mut turn = 0_usize;
    while let Some(item) = items.next().await {
        let item = if is_over() { Err(Error::token_expired()) } else { item };
        match item {
            Ok(Item { data, meta, is_last: false }) => {
                if !send_event(StreamEventKind::Message, Some(&data), Some(&meta)) {
                    return; // the socket has closed
                }
            }
            Ok(Item { data, meta, is_last: true }) => {
                send_event(StreamEventKind::Done, Some(&data), Some(&meta));
                return;
            }
            Err(error) => {
                runtime::log_internal("a stream", &error);
                send_event(StreamEventKind::Error, Some(&error.body().to_wire()), None);
                return;
            }
        }
        turn = turn.saturating_add(1);
        if turn.is_multiple_of(ITEMS_PER_TURN)
            && let Err(error) = runtime::next_turn().await
        {
            let error = Error::from(error);
            runtime::log_internal("a stream", &error);
            send_event(StreamEventKind::Error, Some(&error.body().to_wire()), None);
            return;
        }
    }
    send_event(StreamEventKind::Done, None, None);
}
