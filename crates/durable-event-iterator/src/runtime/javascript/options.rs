//! The options and the result of `stub.publish`.

use crate::runtime::JsError;
use js_sys::Array;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/options.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = undefinedOption)]
    fn undefined_option_js(options: &JsValue, names: &Array) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(catch, js_name = undefinedOptionIn)]
    fn undefined_option_in_js(list: &JsValue, names: &Array) -> Result<Option<Array>, JsValue>;

    // Cannot throw.
    #[wasm_bindgen(js_name = published)]
    pub(crate) fn published(id: &str, duplicate: bool) -> JsValue;
}

/// Returns the first of `names` that is an own property of `options` with the value undefined.
pub(crate) fn undefined_option(options: &JsValue, names: &[&str]) -> Result<Option<String>, JsError> {
    let names = names.iter().map(|name| JsValue::from_str(name)).collect();
    Ok(undefined_option_js(options, &names)?)
}

/// Does the same for an array of options. Returns the index and the name.
pub(crate) fn undefined_option_in(
    list: &JsValue,
    names: &[&str],
) -> Result<Option<(usize, String)>, JsError> {
    let names = names.iter().map(|name| JsValue::from_str(name)).collect();
    let found = undefined_option_in_js(list, &names)?;
    Ok(found.and_then(|found| Some((found.get(0).as_f64()? as usize, found.get(1).as_string()?))))
}
