//! The one door to the platform.
//!
//! For what runs inside of a Durable Object there are two implementations of the same items: [`javascript`], every binding to
//! the Workers runtime, and on other targets than wasm32 [`native`], in memory, for test kits. What a Worker does outside of
//! its Durable Objects has bindings alone.
//!
//! Each binding has `catch`, or is to a function that cannot throw or catches itself, since an exception that passes through
//! WASM costs the instance. In the other direction nothing is thrown either: entry points return a `failure`, so that
//! `exceptions.js` can tell the loss of an instance from everything else.

mod body;
#[cfg(target_arch = "wasm32")]
mod javascript;
mod message;
mod namespace;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
#[cfg(any(target_arch = "wasm32", test))]
mod statement;
mod storage_event;
pub(crate) mod value;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::javascript::*;
pub use self::message::Message;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::native::*;
pub(crate) use self::{
    body::read_body,
    namespace::{Stub, UpgradeRequest, Verdict, head_of, refuse, stub},
    storage_event::StorageEvent,
    value::{Infinity, JsWire, NotWire},
};

use crate::error::{Code, Error};
use std::fmt;
use wasm_bindgen::prelude::*;

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

/// What a client is not told of an error is in the log.
pub(crate) fn log_internal(what: &str, error: &Error) {
    if error.status() >= Code::InternalServerError.status() {
        log_error(&format!("{what} failed: {error}"));
    }
}
