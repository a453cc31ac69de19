//! Floats and their texts, as the platform converts them.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/javascript/number.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = read)]
    fn read_js(text: &str) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, js_name = text)]
    fn text_js(number: f64) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = textOfSingle)]
    fn text_of_single_js(number: f32) -> Result<String, JsValue>;
}

/// The number of a text that is one in JSON.
pub(crate) fn read_number(text: &str) -> Option<f64> {
    read_js(text).ok()
}

/// A finite number as JavaScript writes it.
pub(crate) fn number_text(number: f64) -> String {
    text_js(number).unwrap_or_default()
}

/// A finite number by the digits that tell it from other f32s.
pub(crate) fn single_text(number: f32) -> String {
    text_of_single_js(number).unwrap_or_default()
}
