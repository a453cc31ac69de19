//! The exported class.

use crate::{
    error::{Error, Failure},
    runtime::{JsError, RawSocket, from_wire, log_error},
};
use durable_event_wire::{Value, serialize};
use js_sys::Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/class.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = extend)]
    fn extend_js(dummy: &JsValue, methods: &Array) -> Result<Array, JsValue>;

    #[wasm_bindgen(catch, js_name = beginStream)]
    fn begin_stream(ws: &RawSocket, id: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = endStream)]
    fn end_stream(ws: &RawSocket, id: &str) -> Result<(), JsValue>;
}

#[wasm_bindgen(module = "/src/runtime/exceptions.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = failureFor)]
    fn failure_for_js(parts: &JsValue) -> Result<JsValue, JsValue>;
}

/// Lets the class of `dummy` extend `DurableObject` and defines the application's `methods` on it. Called by
/// `durable_object!` before any object of the class exists.
pub(crate) fn extend(class: &str, dummy: &JsValue, methods: &[&str]) {
    let methods: Array = methods.iter().map(|name| JsValue::from_str(name)).collect();
    match extend_js(dummy, &methods) {
        Ok(refused) => {
            for name in refused.iter().filter_map(|name| name.as_string()) {
                log_error(&format!("{class}: no method can be named `{name}`; stubs will not find it"));
            }
        }
        Err(thrown) => log_error(&format!("{class} cannot extend DurableObject: {}", JsError::from(thrown))),
    }
}

/// A stream that answers a call: where WASM is lost with it, its reader gets an error at its end.
pub(crate) struct OpenStream<'a> {
    ws: &'a RawSocket,
    id: &'a str,
}

impl<'a> OpenStream<'a> {
    pub(crate) fn new(ws: &'a RawSocket, id: &'a str) -> Self {
        // Neither can throw for a socket.
        let _ = begin_stream(ws, id);
        Self { ws, id }
    }
}

impl Drop for OpenStream<'_> {
    fn drop(&mut self) {
        let _ = end_stream(self.ws, self.id);
    }
}

/// What an entry point returns so that a stub's caller gets an exception: what a client would get, and which failure of
/// publishing it is.
pub(crate) fn failure(error: &Error) -> JsValue {
    /// `failureFor`'s argument.
    #[derive(Serialize)]
    struct Parts<'a> {
        message: &'a str,
        code: &'a str,
        status: u16,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<&'static str>,
    }

    let parts = |data| {
        let parts = Parts {
            message: error.public_message(),
            code: error.code(),
            status: error.status(),
            data,
            failure: error.failure().map(Failure::name),
        };
        let parts = serialize(&parts).map_err(Error::from).and_then(|parts| Ok(from_wire(&parts)?)).ok()?;
        failure_for_js(&parts).ok()
    };
    // A blob cannot be carried: then it goes without data.
    parts(error.public_data())
        .or_else(|| parts(None))
        .or_else(|| failure_for_js(&JsValue::UNDEFINED).ok())
        .unwrap_or(JsValue::UNDEFINED)
}
