//! JavaScript values of a stub's caller, to and from oRPC's serialized form.

use super::JsError;
use crate::wire::Serialized;
use js_sys::Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/value.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = toWire)]
    fn to_wire_js(value: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = fromWire)]
    fn from_wire_js(json: Option<&str>, meta: Option<&str>) -> Result<JsValue, JsValue>;
}

/// A JavaScript value in serialized form. No `json` is `undefined`.
pub(crate) struct JsWire {
    pub(crate) json: Option<String>,
    pub(crate) meta: Option<String>,
}

/// Serializes a JavaScript value; an error says what in it has no serialized form.
pub(crate) fn to_wire(value: &JsValue) -> Result<JsWire, JsError> {
    let wire = to_wire_js(value)?;
    Ok(match wire.dyn_ref::<Array>() {
        None => JsWire { json: wire.as_string(), meta: None },
        Some(halves) => JsWire { json: halves.get(0).as_string(), meta: halves.get(1).as_string() },
    })
}

/// The JavaScript value that was serialized.
///
/// A blob is an error: what stubs carry is copied at once, and a blob cannot be.
pub(crate) fn from_wire(value: &Serialized) -> Result<JsValue, JsError> {
    if !value.blobs.is_empty() {
        return Err(JsError("a stub cannot carry a file or blob".into()));
    }
    Ok(from_wire_js(value.json.as_deref(), value.meta.as_deref())?)
}
