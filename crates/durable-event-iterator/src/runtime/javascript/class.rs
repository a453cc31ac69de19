//! Bindings for the exported class.

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

    #[wasm_bindgen(catch, js_name = watchReplay)]
    fn watch_replay_js(ws: &RawSocket, rest: &JsValue) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = endStream)]
    fn end_stream(ws: &RawSocket, id: &str) -> Result<(), JsValue>;
}

#[wasm_bindgen(module = "/src/runtime/exceptions.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = failureFor)]
    fn failure_for_js(parts: &JsValue) -> Result<JsValue, JsValue>;
}

/// Makes the class of `dummy` extend `DurableObject`, and defines the application's RPC methods on it. `durable_object!` calls it
/// before the class has any instance.
pub(crate) fn extend(class: &str, dummy: &JsValue, methods: &[&str]) {
    let methods: Array = methods.iter().map(|name| JsValue::from_str(name)).collect();
    match extend_js(dummy, &methods) {
        Ok(reserved) => {
            for name in reserved.iter().filter_map(|name| name.as_string()) {
                log_error(&format!("{class}: the RPC method name `{name}` is reserved, rename the method"));
            }
        }
        Err(thrown) => log_error(&format!("{class} cannot extend DurableObject: {}", JsError::from(thrown))),
    }
}

/// Closes a socket if the rest of its replay, a promise or undefined, fails because the WASM instance is lost.
pub(crate) fn watch_replay(ws: &RawSocket, rest: &JsValue) {
    let _ = watch_replay_js(ws, rest); // does not throw
}

/// A stream that is the response to a call. If the WASM instance is lost, the client receives an error as its end.
pub(crate) struct OpenStream {
    ws: RawSocket,
    id: String,
}

impl OpenStream {
    pub(crate) fn new(ws: RawSocket, id: String) -> Self {
        // Neither function throws for a socket.
        let _ = begin_stream(&ws, &id);
        Self { ws, id }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let _ = end_stream(&self.ws, &self.id);
    }
}

/// Returns the `Failure` for an error, which an entry point returns so that the caller of a stub gets an exception. It contains the
/// public parts of the error, and the name of a publishing failure.
pub(crate) fn failure(error: &Error) -> JsValue {
    /// The argument of `failureFor`.
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
    // Data that contains a blob cannot be passed on and is omitted.
    parts(error.public_data())
        .or_else(|| parts(None))
        .or_else(|| failure_for_js(&JsValue::UNDEFINED).ok())
        .unwrap_or(JsValue::UNDEFINED)
}
