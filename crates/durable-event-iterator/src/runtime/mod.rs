//! The one door to the platform: every binding that the crate has to JavaScript. Each has `catch`, or is to a function that
//! cannot throw or catches itself, since an exception that passes through WASM costs the instance. In the other direction
//! nothing is thrown either: entry points return a [`failure`], so that `exceptions.js` can tell the loss of an instance
//! from everything else.

mod at_once;
mod body;
mod class;
mod hub;
mod namespace;
mod options;
mod storage;
mod value;

pub(crate) use at_once::at_once;
pub(crate) use body::read_body;
pub(crate) use class::{OpenStream, extend, failure};
pub(crate) use hub::{Admits, Hub, LiveView, RawSocket, Replay};
pub(crate) use namespace::{Identity, Stub, Verdict, head_of, refuse, stub};
pub(crate) use options::{published, undefined_option};
pub(crate) use storage::{Storage, StorageEvent};
pub(crate) use value::{Infinity, JsWire, NotWire, from_wire, serialized_of, to_wire};

use crate::error::{Code, Error};
use std::fmt;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = pause)]
    async fn pause_js(milliseconds: f64) -> Result<JsValue, JsValue>;
}

#[wasm_bindgen(module = "/src/runtime/exceptions.js")]
extern "C" {
    // These catch what a getter of the value throws.
    #[wasm_bindgen(js_name = textOf)]
    fn text_of_js(thrown: &JsValue) -> String;

    #[wasm_bindgen(js_name = isTransient)]
    fn is_transient_js(thrown: &JsValue) -> bool;
}

/// A JavaScript exception, as text for the log. It never reaches a client.
#[derive(Debug)]
pub(crate) struct JsError {
    text: String,
    is_transient: bool,
}

impl JsError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_transient: false }
    }

    /// Whether the runtime says that trying again later may succeed: it is overloaded, or has lost the connection.
    pub(crate) fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl From<JsValue> for JsError {
    fn from(thrown: JsValue) -> Self {
        Self { text: text_of_js(&thrown), is_transient: is_transient_js(&thrown) }
    }
}

impl fmt::Display for JsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for JsError {}

/// Milliseconds since the epoch. In production the clock stands still while code runs.
pub(crate) fn now_ms() -> u64 {
    // A JavaScript time fits 53 bits; `as` saturates, so that a negative clock is 0.
    js_sys::Date::now() as u64
}

/// Lets other events have their say before going on.
pub(crate) async fn next_turn() -> Result<(), JsError> {
    pause(0).await
}

/// Waits so many milliseconds, in which others go on.
pub(crate) async fn pause(milliseconds: u64) -> Result<(), JsError> {
    pause_js(milliseconds as f64).await.map(drop).map_err(JsError::from)
}

/// A warning in the Worker's log. Never give it a token, a key or an attachment.
pub(crate) fn log_warning(line: &str) {
    worker::console_warn!("durable-event-iterator: {line}");
}

/// A line in the Worker's log. Never give it a token, a key or an attachment.
pub(crate) fn log_error(line: &str) {
    worker::console_error!("durable-event-iterator: {line}");
}

/// What a client is not told of an error is in the log.
pub(crate) fn log_internal(what: &str, error: &Error) {
    if error.status() >= Code::InternalServerError.status() {
        log_error(&format!("{what} failed: {error}"));
    }
}
