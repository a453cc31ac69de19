//! Procedure calls.

use super::{
    ExternalCall, Host, Responder,
    received::{AdmittedCall, OK, Peer, Received, ReceivedCall},
    streams::stream,
};
use crate::{
    error::{Code, Error, Result},
    object::{
        Call, DurableEventIteratorObject, Invocation,
        routing::{self, Admitted, Asked},
        running_calls::Running,
    },
    procedure::{Answer, Input, Next, Reply, Upload},
    runtime::{self, RawSocket},
    socket::session::Session,
};
use durable_event_wire::{
    Value,
    frame::{Body, Outgoing, Request as Frame, error_response, response, stop_upload},
};
use futures_util::future::{AbortHandle, Abortable};
use std::{future::poll_fn, pin::pin, rc::Rc, task::Poll};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Reads a call, unless too many are running. `direct` is the procedure's path, or `None` if the input of `/call` contains it.
    pub(super) fn receive_call(
        &self,
        peer: &Peer<'_>,
        id: String,
        direct: Option<Vec<String>>,
        request: Frame<'_>,
    ) -> Result<Option<Received<O>>> {
        let Peer { ws, socket_id, frame_bytes, session, .. } = *peer;
        let calls = self.calls.try_borrow()?;
        if calls.running(socket_id) >= self.options().max_calls {
            ws.answer(error_response(&id, &Code::TooManyRequests.into()));
            return Ok(None);
        }
        let held = calls.holds_nothing();
        let Frame { headers, body, .. } = request;
        let (upload, asked) = if matches!(body, Body::Stream) {
            let (sender, upload) = Upload::<Value>::channel(self.options().max_frame, Rc::clone(&held));
            (Some(sender), Asked::new(direct, Input::Stream(upload)))
        } else {
            (None, Asked::read(direct, body))
        };
        let (handle, registration) = AbortHandle::new_pair();
        let admitted =
            routing::admit(&self.procedures, self.external.is_some(), session, asked).and_then(|admitted| {
                let last_event_id = headers.get("last-event-id").map(str::to_owned);
                let headers = headers.into_map();
                let input = admitted.memory(&headers);
                calls.hold(socket_id, &held, input.saturating_add(frame_bytes))?;
                let handle = handle.clone();
                let call = Call { socket: self.socket(ws, session), last_event_id, headers, handle };
                Ok((admitted, call))
            });
        let call = ReceivedCall { id, admitted, upload, held, handle, registration };
        Ok(Some(Received::Call(Rc::clone(session), Box::new(call))))
    }

    /// Runs one call. Nothing more is sent for a call after its client has aborted it.
    pub(super) async fn call(
        &self,
        ws: &RawSocket,
        socket_id: u32,
        session: &Rc<Session>,
        call: ReceivedCall<O>,
    ) -> Result<()> {
        let ReceivedCall { id, admitted, upload, held, handle, registration } = call;
        let admitted = match (&self.external, admitted) {
            (Some(external), Ok((Admitted { path, input, handler: None }, Call { headers, .. }))) => {
                let running = Running { handle, upload, held, on_abort: None };
                let (core, calls) = (Rc::clone(&self.core), Rc::clone(&self.calls));
                let responder =
                    Responder::begin(core, calls, ws, socket_id, id, Rc::clone(session), running)?;
                external.run(ExternalCall { path, input, headers, responder });
                return Ok(());
            }
            (_, admitted) => admitted,
        };
        let work = async {
            match self.run(admitted).await {
                Ok(Reply(Answer::Value(output))) => ws.answer(response(&id, OK, output)),
                Ok(Reply(Answer::Stream(items))) => {
                    stream(&self.core.sessions, ws, session, &id, items).await;
                }
                Err(error) => {
                    runtime::log_internal("a call", &error);
                    ws.answer(error_response(&id, &error.body()));
                }
            }
        };
        let mut work = pin!(Abortable::new(work, registration));
        // Most calls complete at once. Only a call that waits is recorded, since other code can run only meanwhile.
        self.calls.try_borrow_mut()?.begin(socket_id, &handle);
        let now = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
        self.calls.try_borrow_mut()?.has_begun();
        let is_unread = if now.is_ready() {
            upload.is_some()
        } else {
            let is_upload = upload.is_some();
            self.calls.try_borrow_mut()?.start(
                socket_id,
                &id,
                Running { handle, upload, held, on_abort: None },
            );
            let ended = work.await;
            let mut calls = self.calls.try_borrow_mut()?;
            let is_unread = is_upload && ended.is_ok() && calls.upload(socket_id, &id).is_some();
            calls.finish(socket_id, &id);
            is_unread
        };
        if is_unread {
            ws.answer(Outgoing::Text(stop_upload(&id))); // the procedure has not read its input to the end
        }
        Ok(())
    }

    async fn run(&self, admitted: Result<AdmittedCall<O>>) -> Result<Reply> {
        let (Admitted { path, input, handler }, call) = admitted?;
        let handler = handler.ok_or_else(|| Error::new(Code::NotFound))?;
        let invocation = Invocation { path, call: call.clone() };
        self.object.intercept(invocation, Next::new(handler(&self.object, call, input))).await
    }
}
