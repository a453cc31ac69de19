//! The exported class.

use super::{JsError, log_error};
use crate::error::Error;
use js_sys::Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/class.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = extend)]
    fn extend_js(dummy: &JsValue, dispatch: &str, methods: &Array) -> Result<Array, JsValue>;

    #[wasm_bindgen(catch, js_name = errorFor)]
    fn error_for_js(name: &str, message: &str, code: &str) -> Result<JsValue, JsValue>;
}

/// Lets the class of `dummy` extend `DurableObject` and defines the application's `methods` on it, each of which
/// calls the class's method `dispatch` with its name and its arguments. Called by `durable_object!` before any
/// object of the class exists.
pub(crate) fn extend(class: &str, dummy: &JsValue, dispatch: &str, methods: &[&str]) {
    let methods: Array = methods.iter().map(|name| JsValue::from_str(name)).collect();
    match extend_js(dummy, dispatch, &methods) {
        Ok(refused) => {
            for name in refused.iter().filter_map(|name| name.as_string()) {
                log_error(&format!("{class}: no method can be named `{name}`; stubs will not find it"));
            }
        }
        Err(thrown) => log_error(&format!("{class} cannot extend DurableObject: {}", JsError::from(thrown))),
    }
}

/// The exception that a stub's caller gets: its message and code are those a client would get, nothing more.
pub(crate) fn exception(error: &Error) -> JsValue {
    error_for_js("ORPCError", error.public_message(), error.code()).unwrap_or(JsValue::UNDEFINED)
}
