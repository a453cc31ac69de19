//! The streams of clients, as a class in TypeScript reads them.

use crate::{procedure::Upload, runtime::failure};
use durable_event_wire::{Serialized, Value, serialize};
use futures_util::StreamExt;
use js_sys::{Array, Promise};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Returns a JavaScript function that reads the next item of a client's stream: it resolves with `[json, meta]`, with undefined at
/// the end, or with a `Failure`.
pub(super) fn reader_of(upload: Upload<Value>) -> JsValue {
    let upload = Rc::new(RefCell::new(Some(upload)));
    let read = Closure::<dyn FnMut() -> Promise>::new(move || {
        let upload = Rc::clone(&upload);
        future_to_promise(async move { Ok(next(&upload).await) })
    });
    read.into_js_value()
}

/// Reads an item. While it waits, the stream is not in `upload`: a second reader sees the end.
async fn next(upload: &RefCell<Option<Upload<Value>>>) -> JsValue {
    let taken = upload.try_borrow_mut().ok().and_then(|mut upload| upload.take());
    let Some(mut items) = taken else { return JsValue::UNDEFINED };
    let Some(item) = items.next().await else { return JsValue::UNDEFINED };
    if let Ok(mut upload) = upload.try_borrow_mut() {
        *upload = Some(items);
    }
    match item.and_then(|value| Ok(serialize(&value)?)) {
        Ok(Serialized { json, meta, .. }) => Array::of2(&json.into(), &meta.into()).into(),
        Err(error) => failure(&error),
    }
}
