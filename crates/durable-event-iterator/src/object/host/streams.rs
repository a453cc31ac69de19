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
    let stream = ItemSender { sessions, ws, session, id };
    let Some(_open) = stream.begin() else { return };
    let mut turn = 0_usize;
    while let Some(item) = items.next().await {
        if !stream.send(item) {
            return;
        }
        turn = turn.saturating_add(1);
        if turn.is_multiple_of(ITEMS_PER_TURN)
            && let Err(error) = runtime::next_turn().await
        {
            return stream.fail(&error.into());
        }
    }
    stream.event(StreamEventKind::Done, None, None);
}

/// Sends the items of a stream that is the response to a call.
pub(super) struct ItemSender<'a> {
    pub(super) sessions: &'a SessionStore,
    pub(super) ws: &'a RawSocket,
    /// The session when the call began.
    pub(super) session: &'a Session,
    /// The id of the call.
    pub(super) id: &'a str,
}

impl ItemSender<'_> {
    /// Begins the response, which lasts until the returned value is dropped. Returns `None` if the socket has closed.
    pub(super) fn begin(&self) -> Option<OpenStream> {
        let begun = self.ws.send_text(&stream_response(self.id, &[]));
        begun.is_ok().then(|| OpenStream::new(self.ws.clone(), self.id.to_owned()))
    }

    /// Sends an item. Returns whether the stream goes on.
    pub(super) fn send(&self, item: Result<Item>) -> bool {
        let item = if self.is_over() { Err(Error::token_expired()) } else { item };
        match item {
            Ok(Item { data, meta, is_last: false }) => {
                self.event(StreamEventKind::Message, Some(&data), Some(&meta))
            }
            Ok(Item { data, meta, is_last: true }) => {
                self.event(StreamEventKind::Done, Some(&data), Some(&meta));
                false
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn fail(&self, error: &Error) {
        runtime::log_internal("a stream", error);
        self.event(StreamEventKind::Error, Some(&error.body().to_wire()), None);
    }

    /// Sends an event. Returns whether the socket is open.
    fn event(&self, kind: StreamEventKind, data: Option<&Serialized>, meta: Option<&CheckedMeta>) -> bool {
        self.ws.send_text(&stream_event(self.id, kind, data, meta)).is_ok()
    }

    /// Returns whether the client's token has expired. The stored session decides, since a token refresh may have replaced the token.
    /// Without a session the socket has closed.
    fn is_over(&self) -> bool {
        let now = runtime::now_ms();
        let stored = || self.sessions.read(self.ws);
        self.session.is_expired(now) && stored().is_ok_and(|session| session.is_expired(now))
    }
}
