//! The only access to the Workers runtime.
//!
//! Code inside a Durable Object uses one of two implementations of the same items: [`javascript`], the bindings to the Workers
//! runtime, on wasm32, and [`native`], in memory and for test kits, on other targets. Code outside of Durable Objects has only
//! bindings.
//!
//! Each binding either has `catch` or calls a function that never throws, since an exception that passes through WASM destroys the
//! instance. Rust does not throw either: entry points return a `failure`, so that `exceptions.js` can distinguish the loss of an
//! instance from every other exception.

mod body;
#[cfg(target_arch = "wasm32")]
mod javascript;
mod message;
mod namespace;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) mod native;
mod page_rows;
mod reader;
mod sql_rows;
#[cfg(any(target_arch = "wasm32", test))]
mod statement;
mod storage_event;
pub(crate) mod value;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::javascript::*;
pub(crate) use self::message::EventMessages;
#[cfg(target_arch = "wasm32")]
pub(crate) use self::namespace::{PublisherRequest, publisher_request};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use self::native::*;
pub(crate) use self::{
    body::{TextBody, parse_object, read_body, read_text},
    namespace::{Stub, UpgradeRequest, Verdict, head_of, rejection_response, stub},
    page_rows::PageRows,
    reader::{Reader, ReaderEnd, ReaderItem, ReaderToken, Rejected, call_over_socket, empty_page, respond},
    storage_event::StorageEvent,
    value::{Infinity, ItemLimits, JsWire, NotWire, NotWireAll},
};
pub use self::{message::Message, sql_rows::SqlRows};

/// The window of a live subscription with flow control, in characters (UTF-16 code units): what may be sent beyond what its client
/// has acknowledged. A client acknowledges 65,536 characters at once.
pub(crate) const LIVE_WINDOW: u64 = 262_144;

/// The window of a replay, in characters. For clients without flow control it ends a replay.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) const REPLAY_WINDOW: u64 = 1_048_576;

pub(crate) use crate::error::JsError;
use crate::error::{Code, Error};
use wasm_bindgen::prelude::*;

/// The head in the view of a publisher's subscriber, whose messages have no head, as in `hot.js`.
pub(crate) const PUBLISHER_HEAD: &str = "publisher";

#[wasm_bindgen(module = "/src/runtime/exceptions.js")]
extern "C" {
    // These functions catch exceptions of the value's getters.
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

/// Logs an internal error, since the client receives only its code.
pub(crate) fn log_internal(what: &str, error: &Error) {
    if error.status() >= Code::InternalServerError.status() {
        log_error(&format!("{what} failed: {error}"));
    }
}
