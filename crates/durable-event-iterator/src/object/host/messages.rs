//! Messages of clients. Work that needs no waiting is done here; the rest is passed to [`calls`](super::calls) and subscriptions.

use super::{
    Host, close,
    received::{OK, Peer, Received},
};
use crate::{
    channel::{
        presence,
        revocation::revoked,
        subscription::{self, Subscribe},
    },
    error::{Code, Error, Result},
    object::{
        DurableEventIteratorObject, Subscribed,
        routing::{self, InvalidMessage, Route},
        running_calls::Aborted,
    },
    runtime::{self, Message, RawSocket, Verdict},
    socket::{close_code, session::Session},
};
use durable_event_wire::{
    Serialized,
    frame::{
        ClientFrame, Request as Frame, StreamEvent, decode_binary, decode_text, error_response, response,
        text_response,
    },
};
use std::rc::Rc;

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles a message of a client.
    pub(in crate::object) async fn message(
        &self,
        ws: RawSocket,
        socket_id: u32,
        now_ms: u64,
        message: Message,
    ) {
        let received = self.receive(&ws, socket_id, now_ms, &message);
        // The message may be large, and waiting work does not need it.
        drop(message);
        let result = match received {
            Ok(Some(Received::Subscribe(session, ask))) => self.subscribe(&ws, &session, &ask).await,
            Ok(Some(Received::Call(session, call))) => self.call(&ws, socket_id, &session, *call).await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            // The client cannot cause this: its socket or the storage has failed. It reconnects and resumes.
            runtime::log_error(&format!("a message could not be handled: {error}"));
            close(&ws, close_code::INTERNAL_ERROR, "Internal error");
        }
    }

    /// Reads a message and does the work that needs no waiting. The returned work does not borrow the message.
    fn receive(
        &self,
        ws: &RawSocket,
        socket_id: u32,
        now_ms: u64,
        message: &Message,
    ) -> Result<Option<Received<O>>> {
        let decoded = match message {
            // JavaScript has limited the characters before the message entered WASM; this limits the bytes.
            Message::Text(text) if text.len() > self.options().max_frame => {
                close(ws, close_code::TOO_BIG, "Frame too large");
                return Ok(None);
            }
            Message::Text(text) => decode_text(text),
            Message::Bytes(bytes) => decode_binary(bytes),
        };
        let frame = match decoded {
            Ok(frame) => frame,
            Err(error) => {
                match routing::invalid_message(error) {
                    InvalidMessage::Answer(answer) => ws.answer(answer),
                    InvalidMessage::Close { code, reason } => close(ws, code, reason),
                }
                return Ok(None);
            }
        };
        let Some(session) = self.core.sessions.serve(socket_id, ws)? else { return Ok(None) };
        if session.is_publisher() {
            close(ws, close_code::POLICY, "Publishers' subscribers send no messages");
            return Ok(None);
        }
        let frame_bytes = match message {
            Message::Text(text) => text.len(),
            Message::Bytes(bytes) => bytes.len(),
        };
        let peer = &Peer { ws, socket_id, now_ms, frame_bytes, session: &session };
        match frame {
            ClientFrame::Request(request) => self.request(peer, request),
            ClientFrame::Abort { id } => {
                if subscription::abort(&self.core, ws, &session, &id)? {
                    return Ok(None);
                }
                let mut calls = self.calls.try_borrow_mut()?;
                if calls.is_running(socket_id, &id) {
                    let aborted = calls.abort(socket_id, &id);
                    drop(calls);
                    aborted.into_iter().for_each(Aborted::tell);
                } else {
                    subscription::unpark(&self.core, ws, &session)?;
                }
                Ok(None)
            }
            ClientFrame::Acknowledgement { id, characters } => {
                subscription::acknowledge(&self.core, ws, &session, &id, characters).map(|()| None)
            }
            ClientFrame::Event { id, event } => self.upload(peer, &id, &event).map(|()| None),
        }
    }

    /// Handles an item of streaming input. An item for a call that is not running is ignored.
    pub(super) fn upload(&self, peer: &Peer<'_>, id: &str, event: &StreamEvent<'_>) -> Result<()> {
        let Peer { ws, socket_id, now_ms, session, .. } = *peer;
        let is_expired = session.is_expired(now_ms);
        let mut calls = self.calls.try_borrow_mut()?;
        if let Some(answer) = routing::upload(&mut calls, socket_id, is_expired, id, event) {
            ws.answer(answer);
        }
        Ok(())
    }

    pub(super) fn request(&self, peer: &Peer<'_>, request: Frame<'_>) -> Result<Option<Received<O>>> {
        let Peer { ws, socket_id, now_ms, session, .. } = *peer;
        let id = request.id.clone().into_owned();
        if routing::is_open(session, &*self.calls.try_borrow()?, socket_id, &id) {
            close(ws, close_code::POLICY, "Call id in use");
            return Ok(None);
        }
        if session.is_expired(now_ms) {
            let is_unfinished = session.unfinished.is_some() && request.path == routing::SUBSCRIBE;
            subscription::reject_expired(&self.core, ws, &id, is_unfinished);
            return Ok(None);
        }
        match routing::route(&request.path, &self.procedures, self.external.is_some()) {
            Route::Subscribe => {
                let ask = Subscribe::new(id, &request.headers);
                Ok(Some(Received::Subscribe(Rc::clone(session), ask)))
            }
            Route::UpdateToken => {
                let answer = match self.update_token(peer, request) {
                    Ok(()) => response(&id, OK, Serialized::default()),
                    Err(error) => {
                        runtime::log_internal("a token refresh", &error);
                        error_response(&id, &error.body())
                    }
                };
                ws.answer(answer);
                Ok(None)
            }
            Route::Call => self.receive_call(peer, id, None, request),
            Route::Direct(path) => self.receive_call(peer, id, Some(path), request),
            Route::Nowhere => {
                ws.answer(text_response(&id, Code::NotFound.status(), "No procedure matched"));
                Ok(None)
            }
        }
    }

    pub(super) async fn subscribe(&self, ws: &RawSocket, session: &Session, ask: &Subscribe) -> Result<()> {
        let on_live = |is_first: bool, gap| {
            let last_event_id = ask.last_event_id.clone().filter(|_| !is_first);
            let socket = self.socket(ws, session);
            let core = Rc::clone(&self.core);
            let subscribed = Subscribed::new(core, socket, ws.clone(), last_event_id, gap);
            self.object.on_subscribed(&subscribed)
        };
        subscription::subscribe(&self.core, ws, ask, &on_live).await
    }

    /// Handles the token refresh of a `DurableIterator` client on its open socket.
    pub(super) fn update_token(&self, peer: &Peer<'_>, request: Frame<'_>) -> Result<()> {
        let Peer { ws, session, now_ms, .. } = *peer;
        let keys = self.keys().ok_or_else(|| Error::new(Code::InternalServerError))?;
        let input = request.body.into_value().map_err(Error::malformed)?;
        let is_own = |channel: &str| self.core.identity.is(channel).is_ok_and(|is| is == Verdict::Yes);
        let refreshed = routing::refresh_token(session, input, keys, &is_own, now_ms)?;
        self.core.note_token(refreshed.claims.iat, refreshed.claims.exp);
        if self.core.is_revoked(&refreshed)? {
            return Err(revoked());
        }
        presence::refresh(&self.core, ws, session, refreshed)
    }
}
