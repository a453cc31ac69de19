//! The parts of an object's `ctx`.

use wasm_bindgen::prelude::*;
use worker::worker_sys::DurableObjectState;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = partsOf)]
    fn parts_of_js(ctx: &JsValue) -> Result<js_sys::Array, JsValue>;
}

/// What the library needs of an object's `ctx`.
pub(crate) struct Parts {
    pub(crate) storage: JsValue,
    pub(crate) sql: JsValue,
    /// The name by which the object was reached; none for one that was reached by a unique id.
    pub(crate) name: Option<String>,
}

/// Takes `ctx` apart. What cannot be had is `undefined`, and every use of it an error.
pub(crate) fn parts_of(ctx: &DurableObjectState) -> Parts {
    let parts = parts_of_js(ctx.as_ref()).unwrap_or_default();
    Parts { storage: parts.get(0), sql: parts.get(1), name: parts.get(2).as_string() }
}
