//! Streams between the core and a class in TypeScript, in both directions.

use super::class::{Task, body_of, error_of};
use crate::{
    error::Result,
    procedure::{Item, Upload},
    runtime::failure,
};
use durable_event_wire::{EventMeta, Serialized, Value, serialize};
use futures_util::{
    Stream, StreamExt,
    future::{AbortHandle, Abortable},
    stream,
};
use js_sys::Array;
use serde::Deserialize;
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// The kinds of an item, as in `npm/durable-event-iterator/src/durable-object/hooks.ts`.
mod kind {
    pub(super) const MESSAGE: f64 = 0.0;
    pub(super) const DONE: f64 = 1.0;
}

/// The meta of an item, as oRPC's `getEventMeta` returns it.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Meta {
    id: Option<String>,
    retry: Option<f64>,
    comments: Vec<String>,
}

/// Returns the items of a stream. The stream keeps `task`, and `upload`, until it ends or is dropped.
pub(super) fn items_of(
    task: Task,
    items: JsValue,
    upload: Option<Reader>,
) -> impl Stream<Item = Result<Item>> + 'static {
    stream::unfold(Some((task, items, upload)), async |state| {
        let (task, items, upload) = state?;
        let item = match task.next(&items).await {
            Ok(item) => read(&item),
            Err(error) => Err(error),
        };
        let ends = !matches!(item, Ok(Item { is_last: false, .. }));
        Some((item, (!ends).then_some((task, items, upload))))
    })
}

/// Reads `[kind, json, meta, blobs, event meta]`.
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
    let retry = meta.retry.map(|milliseconds| std::time::Duration::from_secs_f64(milliseconds.max(0.0) / 1_000.0));
    let meta = EventMeta { id: meta.id, retry: retry.map(crate::channel::milliseconds), comments: meta.comments };
    Ok(Item { data: body, meta: meta.checked()?, is_last: kind == Some(kind::DONE) })
}

/// The stream of a client, for JavaScript. Dropping it releases the stream: a function of JavaScript lives until it is collected.
pub(super) struct Reader {
    /// Reads the next item: see `reader_of`.
    pub(super) read: JsValue,
    upload: Rc<RefCell<Option<Upload<Value>>>>,
    /// Ends a read that waits for an item.
    reading: Rc<RefCell<Option<AbortHandle>>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(reading) = self.reading.try_borrow_mut().ok().and_then(|mut reading| reading.take()) {
            reading.abort();
        }
        let upload = self.upload.try_borrow_mut().ok().and_then(|mut upload| upload.take());
        drop(upload); // not within the borrow
    }
}

/// Returns a JavaScript function that reads the next item of a client's stream: it resolves with `[json, meta]`, or with undefined
/// at the end and after the [`Reader`] has been dropped.
pub(super) fn reader_of(upload: Upload<Value>) -> Reader {
    let upload = Rc::new(RefCell::new(Some(upload)));
    let reading = Rc::new(RefCell::new(None));
    let shared = (Rc::clone(&upload), Rc::clone(&reading));
    let read = Closure::<dyn FnMut() -> js_sys::Promise>::new(move || {
        let (upload, reading) = (Rc::clone(&shared.0), Rc::clone(&shared.1));
        future_to_promise(async move {
            let Some(mut items) = upload.try_borrow_mut().ok().and_then(|mut upload| upload.take()) else {
                return Ok(JsValue::UNDEFINED);
            };
            let (handle, registration) = AbortHandle::new_pair();
            if let Ok(mut reading) = reading.try_borrow_mut() {
                *reading = Some(handle);
            }
            let Ok(item) = Abortable::new(items.next(), registration).await else {
                return Ok(JsValue::UNDEFINED);
            };
            if let Ok(mut reading) = reading.try_borrow_mut() {
                *reading = None;
            }
            if let Ok(mut upload) = upload.try_borrow_mut() {
                *upload = Some(items);
            }
            Ok(match item {
                None => JsValue::UNDEFINED,
                Some(Ok(value)) => match serialize(&value) {
                    Ok(Serialized { json, meta, .. }) => Array::of2(&json.into(), &meta.into()).into(),
                    Err(error) => failure(&error.into()),
                },
                Some(Err(error)) => failure(&error),
            })
        })
    });
    Reader { read: read.into_js_value(), upload, reading }
}
