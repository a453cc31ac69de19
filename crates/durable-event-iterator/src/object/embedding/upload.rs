//! The streams of clients, as a class in TypeScript reads them.

use crate::{procedure::Upload, runtime::failure};
use durable_event_wire::{Serialized, Value, serialize};
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
};
use js_sys::{Array, Promise};
use std::{cell::RefCell, rc::Rc};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// The stream of a client, for JavaScript. Dropping it releases the stream: a function of JavaScript lives until it is collected.
pub(super) struct Reader {
    /// A JavaScript function that reads the next item: it resolves with `[json, meta]`, with a `Failure`, or with undefined at the end
    /// and after this `Reader` has been dropped.
    pub(super) read: JsValue,
    state: Rc<State>,
}

struct State {
    /// `None` while an item is being read, and in the end.
    upload: RefCell<Option<Upload<Value>>>,
    /// Ends a read that waits for an item.
    reading: RefCell<Option<AbortHandle>>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(reading) = self.state.reading.take() {
            reading.abort();
        }
        let upload = self.state.upload.take();
        drop(upload); // not within the borrow
    }
}

impl Reader {
    pub(super) fn new(upload: Upload<Value>) -> Self {
        let state = Rc::new(State { upload: RefCell::new(Some(upload)), reading: RefCell::default() });
        let shared = Rc::clone(&state);
        let read = Closure::<dyn FnMut() -> Promise>::new(move || {
            let state = Rc::clone(&shared);
            future_to_promise(async move { Ok(state.next().await) })
        });
        Self { read: read.into_js_value(), state }
    }
}

impl State {
    async fn next(&self) -> JsValue {
        let Some(mut items) = self.upload.take() else { return JsValue::UNDEFINED };
        let (handle, registration) = AbortHandle::new_pair();
        self.reading.replace(Some(handle));
        let Ok(item) = Abortable::new(items.next(), registration).await else { return JsValue::UNDEFINED };
        self.reading.take();
        let Some(item) = item else { return JsValue::UNDEFINED };
        self.upload.replace(Some(items));
        match item.and_then(|value| Ok(serialize(&value)?)) {
            Ok(Serialized { json, meta, .. }) => Array::of2(&json.into(), &meta.into()).into(),
            Err(error) => failure(&error),
        }
    }
}
