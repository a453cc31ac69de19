//! The calls that a class in TypeScript runs.

use super::{
    class::{Class, body_of, error_of},
    upload::Reader,
};
use crate::{
    channel::milliseconds,
    error::{Code, Error, Result},
    object::host::{External, ExternalCall, Responder},
    procedure::{Input, Item},
    runtime,
};
use durable_event_wire::{EventMeta, Serialized, serialize};
use js_sys::Array;
use serde::Deserialize;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::{Rc, Weak},
    time::Duration,
};
use wasm_bindgen::JsValue;

/// The running calls of a class, by number.
pub(super) struct Tasks {
    class: Class,
    /// This object, for the functions that are called on an abort.
    this: Weak<Self>,
    last: Cell<u32>,
    running: RefCell<BTreeMap<u32, Task>>,
}

/// A running call.
struct Task {
    responder: Responder,
    /// The client's stream, which is released with the call.
    _upload: Option<Reader>,
}

/// The kinds of a stream's item, as in `npm/durable-event-iterator/src/durable-object/hooks.ts`.
mod kind {
    pub(super) const MESSAGE: f64 = 0.0;
    pub(super) const DONE: f64 = 1.0;
}

/// The meta of an item, as oRPC's `getEventMeta` returns it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    id: Option<String>,
    /// Milliseconds.
    retry: Option<f64>,
    comments: Vec<String>,
}

impl Tasks {
    pub(super) fn new(class: Class) -> Rc<Self> {
        Rc::new_cyclic(|this| Self {
            class,
            this: Weak::clone(this),
            last: Cell::new(0),
            running: RefCell::default(),
        })
    }

    fn take(&self, task: u32) -> Option<Task> {
        self.running.try_borrow_mut().ok()?.remove(&task)
    }

    /// Passes a call to the class, which responds later.
    fn begin(
        &self,
        task: u32,
        responder: &Responder,
        path: &[String],
        input: Input,
        headers: &BTreeMap<String, Vec<String>>,
    ) -> Result<Option<Reader>> {
        let this = Weak::clone(&self.this);
        responder.on_abort(Rc::new(move || {
            let Some(this) = this.upgrade() else { return };
            drop(this.take(task));
            this.class.end(task);
        }))?;
        let (input, upload) = match input {
            Input::Value(value) => (serialize(&value)?, None),
            Input::Stream(upload) => (Serialized::default(), Some(Reader::new(upload))),
        };
        let path = serde_json::to_string(path)?;
        let headers = if headers.is_empty() { None } else { Some(serde_json::to_string(headers)?) };
        let read = upload.as_ref().map(|upload| &upload.read);
        self.class.call(task, responder, &path, headers.as_deref(), &input, read)?;
        Ok(upload)
    }

    /// Handles the response of the class to a call: `[status, json, meta, blobs, whether it is a stream]`. Returns whether the
    /// items of a stream are to be sent: not if the client has aborted the call.
    pub(super) fn respond(&self, task: &JsValue, answer: &Array) -> bool {
        let Some(task) = number_of(task) else { return false };
        let Some(mut running) = self.take(task) else { return false };
        if answer.get(4).is_truthy() {
            let goes_on = running.responder.begin_stream();
            self.put_back(task, running, goes_on);
            return goes_on;
        }
        let status =
            answer.get(0).as_f64().map_or(Code::InternalServerError.status(), |status| status as u16);
        running.responder.respond(status, body_of(answer, 1));
        false
    }

    /// Sends an item of a stream: `[kind, json, meta, blobs, event meta]`. Returns whether the stream goes on.
    pub(super) fn send_item(&self, task: &JsValue, item: &Array) -> bool {
        let Some(task) = number_of(task) else { return false };
        let Some(running) = self.take(task) else { return false };
        let goes_on = running.responder.send(read(item));
        self.put_back(task, running, goes_on);
        goes_on
    }

    /// Keeps a call whose response goes on. Dropping the others ends them.
    fn put_back(&self, task: u32, call: Task, goes_on: bool) {
        if goes_on && let Ok(mut running) = self.running.try_borrow_mut() {
            running.insert(task, call);
        }
    }
}

impl External for Tasks {
    fn run(&self, call: ExternalCall) {
        let ExternalCall { path, input, headers, responder } = call;
        let task = self.last.get().wrapping_add(1);
        self.last.set(task);
        match self.begin(task, &responder, &path, input, &headers) {
            Ok(upload) => {
                let is_running = responder.is_running();
                self.put_back(task, Task { responder, _upload: upload }, is_running);
            }
            Err(error) => {
                runtime::log_internal("a call", &error);
                let error = Error::new(Code::InternalServerError);
                responder.respond(error.status(), error.body().to_wire());
            }
        }
    }
}

fn number_of(task: &JsValue) -> Option<u32> {
    task.as_f64().map(|task| task as u32)
}

fn read(item: &Array) -> Result<Item> {
    let body = body_of(item, 1);
    let kind = item.get(0).as_f64();
    if kind != Some(kind::MESSAGE) && kind != Some(kind::DONE) {
        return Err(error_of(&body));
    }
    let meta: Meta = match item.get(4).as_string() {
        Some(json) => serde_json::from_str(&json)?,
        None => Meta::default(),
    };
    let retry = meta.retry.map(|delay| Duration::try_from_secs_f64(delay / 1_000.0).unwrap_or(Duration::MAX));
    let meta = EventMeta { id: meta.id, retry: retry.map(milliseconds), comments: meta.comments };
    Ok(Item { data: body, meta: meta.checked()?, is_last: kind == Some(kind::DONE) })
}
