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

pub(crate) use crate::error::JsError;
use crate::error::{Code, Error};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/exceptions.js")]
extern "C" {
    // These catch what a getter of the value throws.
    #[wasm_bindgen(js_name = textOf)]
    fn text_of_js(thrown: &JsValue) -> String;

    #[wasm_bindgen(js_name = isTransient)]
    fn is_transient_js(thrown: &JsValue) -> bool;
}

impl From<JsValue> for JsError {
    fn from(thrown: JsValue) -> Self {
        Self::new(text_of_js(&thrown)).transient(is_transient_js(&thrown))
    }
}

/// What a client is not told of an error is in the log.
pub(crate) fn log_internal(what: &str, error: &Error) {
    if error.status() >= Code::InternalServerError.status() {
        log_error(&format!("{what} failed: {error}"));
    }
}
