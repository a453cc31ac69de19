//! The one door to the platform: every binding that the crate has to JavaScript. Each has `catch`, or is to a function that
//! cannot throw or catches itself, since an exception that passes through WASM costs the instance.

mod at_once;
mod body;
mod class;
#[cfg(target_arch = "wasm32")]
mod constructors;
mod hub;
mod namespace;
#[cfg(target_arch = "wasm32")]
mod number;
mod options;
mod storage;
mod value;

pub(crate) use at_once::at_once;
pub(crate) use body::read_body;
pub(crate) use class::{OpenStream, exception, extend};
#[cfg(target_arch = "wasm32")]
pub(crate) use constructors::{is_regexp, is_url};
pub(crate) use hub::{Admits, Hub, LiveView, RawSocket, Replay};
pub(crate) use namespace::{Stub, head_of, stub};
#[cfg(target_arch = "wasm32")]
pub(crate) use number::{number_text, read_number, single_text};
pub(crate) use options::undefined_option;
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

/// A JavaScript exception, as text for the log. It never reaches a client.
#[derive(Debug)]
pub(crate) struct JsError(String);

impl JsError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<JsValue> for JsError {
    fn from(thrown: JsValue) -> Self {
        let text = thrown.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        Self(text.or_else(|| thrown.as_string()).unwrap_or_else(|| "an exception that is no Error".into()))
    }
}

impl fmt::Display for JsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
