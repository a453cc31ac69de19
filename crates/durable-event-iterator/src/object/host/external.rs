//! Calls that code outside the library runs: a class in TypeScript. They need no future, so that each takes one turn less.

use super::streams::ItemSender;
use crate::{
    channel::ChannelCore,
    error::Result,
    object::running_calls::{Calls, Running},
    procedure::{Input, Item},
    runtime::{OpenStream, RawSocket},
    socket::session::Session,
};
use durable_event_wire::{
    Serialized,
    frame::{Outgoing, response, stop_upload},
};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

/// Runs calls.
pub(in crate::object) trait External {
    /// Begins a call. The call's responder sends the response later.
    fn run(&self, call: ExternalCall);
}

/// A call that the client's token allows.
pub(in crate::object) struct ExternalCall {
    pub(in crate::object) path: Vec<String>,
    pub(in crate::object) input: Input,
    /// Names are in lower case.
    pub(in crate::object) headers: BTreeMap<String, Vec<String>>,
    pub(in crate::object) responder: Responder,
}

/// Sends the response to a call. Dropping it ends the call.
pub(in crate::object) struct Responder {
    core: Rc<ChannelCore>,
    calls: Rc<RefCell<Calls>>,
    ws: RawSocket,
    socket_id: u32,
    id: String,
    session: Rc<Session>,
    /// The response, once it has begun as a stream.
    stream: Option<OpenStream>,
}

impl Drop for Responder {
    fn drop(&mut self) {
        let Ok(mut calls) = self.calls.try_borrow_mut() else { return };
        let is_unread = calls.is_unread(self.socket_id, &self.id);
        calls.finish(self.socket_id, &self.id);
        drop(calls);
        if is_unread {
            self.ws.answer(Outgoing::Text(stop_upload(&self.id))); // the procedure has not read its input to the end
        }
    }
}

impl Responder {
    /// Records a call as running.
    pub(super) fn begin(
        core: Rc<ChannelCore>,
        calls: Rc<RefCell<Calls>>,
        ws: &RawSocket,
        socket_id: u32,
        id: String,
        session: Rc<Session>,
        running: Running,
    ) -> Result<Self> {
        calls.try_borrow_mut()?.start(socket_id, &id, running);
        Ok(Self { core, calls, ws: ws.clone(), socket_id, id, session, stream: None })
    }

    /// Returns the socket of the caller.
    pub(in crate::object) const fn socket(&self) -> &RawSocket {
        &self.ws
    }

    /// Returns the id of the call.
    pub(in crate::object) fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether the call is running: it may have closed its own socket.
    pub(in crate::object) fn is_running(&self) -> bool {
        self.calls.try_borrow().is_ok_and(|calls| calls.is_running(self.socket_id, &self.id))
    }

    /// Sets the function that is called when the client aborts the call or closes its socket.
    pub(in crate::object) fn on_abort(&self, tell: Rc<dyn Fn()>) -> Result<()> {
        self.calls.try_borrow_mut()?.on_abort(self.socket_id, &self.id, tell);
        Ok(())
    }

    /// Sends the response.
    pub(in crate::object) fn respond(self, status: u16, body: Serialized) {
        self.ws.answer(response(&self.id, status, body));
    }

    /// Begins a response that is a stream. Returns whether the socket is open.
    pub(in crate::object) fn begin_stream(&mut self) -> bool {
        self.stream = self.items().begin();
        self.stream.is_some()
    }

    /// Sends an item of the stream. Returns whether the stream goes on.
    pub(in crate::object) fn send(&self, item: Result<Item>) -> bool {
        self.items().send(item)
    }

    fn items(&self) -> ItemSender<'_> {
        let Self { core, ws, session, id, .. } = self;
        ItemSender { sessions: &core.sessions, ws, session, id }
    }
}
