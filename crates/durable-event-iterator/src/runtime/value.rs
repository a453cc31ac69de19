//! Converts JavaScript values of RPC methods to and from oRPC's serialized form.

use super::JsError;
use durable_event_wire::Serialized;
use js_sys::{Array, RangeError};
use std::fmt;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/value.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = toWire)]
    fn to_wire_js(
        value: &JsValue,
        limit: f64,
        is_finite: bool,
        customs: &JsValue,
    ) -> Result<JsValue, JsValue>;

    #[cfg(target_arch = "wasm32")]
    #[wasm_bindgen(catch, js_name = serializedOf)]
    fn serialized_of_js(event: &JsValue, limit: f64) -> Result<Array, JsValue>;

    #[cfg(target_arch = "wasm32")]
    #[wasm_bindgen(catch, js_name = lengthOf)]
    fn length_of_js(values: &JsValue) -> Result<Option<f64>, JsValue>;

    #[cfg(target_arch = "wasm32")]
    #[wasm_bindgen(catch, js_name = toWireAll)]
    fn to_wire_all_js(
        values: &JsValue,
        limit: f64,
        total: f64,
        is_serialized: bool,
        customs: &JsValue,
    ) -> Result<String, JsValue>;

    #[cfg(target_arch = "wasm32")]
    #[wasm_bindgen(catch, js_name = textMember)]
    fn text_member_js(object: &JsValue, name: &str, limit: f64) -> Result<Option<String>, JsValue>;

    #[cfg(target_arch = "wasm32")]
    #[wasm_bindgen(catch, js_name = flagMember)]
    fn flag_member_js(object: &JsValue, name: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(catch, js_name = fromWire)]
    fn from_wire_js(json: Option<&str>, meta: Option<&str>) -> Result<JsValue, JsValue>;
}

/// A JavaScript value in serialized form. For `undefined`, `json` is `None`.
pub(crate) struct JsWire {
    pub(crate) json: Option<String>,
    pub(crate) meta: Option<String>,
}

/// The treatment of infinite numbers, which JSON cannot represent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Infinity {
    /// An infinite number becomes null, as in oRPC.
    Null,
    /// An infinite number is an error.
    Error,
}

/// Maximum number of values that a value may contain, as in `value.js`.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// The reason why a JavaScript value cannot be serialized.
#[derive(Debug)]
pub(crate) enum NotWire {
    /// The value exceeds the limit in bytes, or the maximum number of values.
    TooLarge { limit: usize },
    /// The value contains a value without a serialized form, which the text describes.
    Invalid(String),
}

impl NotWire {
    fn new(thrown: JsValue, limit: usize) -> Self {
        if thrown.is_instance_of::<RangeError>() {
            Self::TooLarge { limit }
        } else {
            Self::Invalid(JsError::from(thrown).to_string())
        }
    }
}

impl fmt::Display for NotWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(f, "must have at most {limit} bytes as JSON, and at most {MAX_VALUES} values")
            }
            Self::Invalid(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for NotWire {}

/// The reason why the items of an array cannot be serialized.
#[derive(Debug)]
pub(crate) struct NotWireAll {
    /// The index of the item. `None` if all items together are too large.
    pub(crate) index: Option<usize>,
    pub(crate) reason: NotWire,
}

/// The limits of the items of an array, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemLimits {
    /// Of one item.
    pub(crate) one: usize,
    /// Of all items together.
    pub(crate) all: usize,
}

/// Serializes a JavaScript value of at most `limit` bytes. A larger one does not enter WASM.
pub(crate) fn to_wire(value: &JsValue, limit: usize, infinity: Infinity) -> Result<JsWire, NotWire> {
    to_wire_with(value, limit, infinity, &JsValue::UNDEFINED)
}

/// Does the same with the application's serializers of custom types, in oRPC's form, or undefined.
pub(crate) fn to_wire_with(
    value: &JsValue,
    limit: usize,
    infinity: Infinity,
    customs: &JsValue,
) -> Result<JsWire, NotWire> {
    let wire = to_wire_js(value, limit as f64, infinity == Infinity::Error, customs)
        .map_err(|thrown| NotWire::new(thrown, limit))?;
    Ok(match wire.dyn_ref::<Array>() {
        None => JsWire { json: wire.as_string(), meta: None },
        Some(halves) => halves_of(halves),
    })
}

#[cfg(target_arch = "wasm32")]
/// Reads an event that its publisher has serialized, `{ json, meta? }`.
pub(crate) fn serialized_of(event: &JsValue, limit: usize) -> Result<JsWire, NotWire> {
    let halves = serialized_of_js(event, limit as f64).map_err(|thrown| NotWire::new(thrown, limit))?;
    Ok(halves_of(&halves))
}

/// Returns the number of items of an array, or `None` for any other value.
#[cfg(target_arch = "wasm32")]
pub(crate) fn length_of(values: &JsValue) -> Result<Option<usize>, JsError> {
    Ok(length_of_js(values)?.map(|length| length as usize))
}

/// Serializes the items of an array. With `is_serialized` they are `{ json, meta? }`.
#[cfg(target_arch = "wasm32")]
pub(crate) fn to_wire_all(
    values: &JsValue,
    limits: ItemLimits,
    is_serialized: bool,
) -> Result<Vec<JsWire>, NotWireAll> {
    to_wire_all_js(values, limits.one as f64, limits.all as f64, is_serialized, &JsValue::UNDEFINED)
        .map(|lines| wires_of(&lines))
        .map_err(|thrown| not_wire_all(thrown, limits))
}

/// Does the same with the application's serializers of custom types.
#[cfg(target_arch = "wasm32")]
pub(crate) fn to_wire_all_with(
    values: &JsValue,
    limits: ItemLimits,
    customs: &JsValue,
) -> Result<Vec<JsWire>, NotWireAll> {
    to_wire_all_js(values, limits.one as f64, limits.all as f64, false, customs)
        .map(|lines| wires_of(&lines))
        .map_err(|thrown| not_wire_all(thrown, limits))
}

#[cfg(target_arch = "wasm32")]
fn not_wire_all(thrown: JsValue, limits: ItemLimits) -> NotWireAll {
    let index = js_sys::Reflect::get(&thrown, &"index".into()).unwrap_or_default();
    let index = index.as_f64().map(|index| index as usize);
    let limit = if index.is_some() { limits.one } else { limits.all };
    NotWireAll { index, reason: NotWire::new(thrown, limit) }
}

/// Reads two lines for each item.
#[cfg(target_arch = "wasm32")]
fn wires_of(lines: &str) -> Vec<JsWire> {
    let mut lines = lines.split('\n').map(|line| Some(line.to_owned()).filter(|line| !line.is_empty()));
    let mut wires = Vec::new();
    while let (Some(json), Some(meta)) = (lines.next(), lines.next()) {
        wires.push(JsWire { json, meta });
    }
    wires
}

/// Returns a text of at most `limit` characters that is a property of an object, or `None` if it is not a text.
#[cfg(target_arch = "wasm32")]
pub(crate) fn text_member(object: &JsValue, name: &str, limit: usize) -> Result<Option<String>, NotWire> {
    text_member_js(object, name, limit as f64).map_err(|thrown| NotWire::new(thrown, limit))
}

/// Whether a property of an object is true.
#[cfg(target_arch = "wasm32")]
pub(crate) fn flag_member(object: &JsValue, name: &str) -> bool {
    flag_member_js(object, name).unwrap_or_default()
}

fn halves_of(halves: &Array) -> JsWire {
    JsWire { json: halves.get(0).as_string(), meta: halves.get(1).as_string() }
}

/// Returns the JavaScript value of a serialized one.
///
/// # Errors
/// The value contains a file or blob: RPC clones its values, and a blob cannot be cloned.
pub(crate) fn from_wire(value: &Serialized) -> Result<JsValue, JsError> {
    if !value.blobs.is_empty() {
        return Err(JsError::new("an RPC method cannot return a file or blob"));
    }
    Ok(from_wire_js(value.json.as_deref(), value.meta.as_deref())?)
}
