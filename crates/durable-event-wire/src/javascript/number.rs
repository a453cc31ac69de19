//! Conversion between floats and their texts by JavaScript.

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

/// Parses a JSON number.
pub(crate) fn read_number(text: &str) -> Option<f64> {
    read_js(text).ok()
}

/// Returns the text of a finite number as JavaScript writes it.
pub(crate) fn number_text(number: f64) -> String {
    text_js(number).unwrap_or_default()
}

/// Returns the shortest text of a finite f32 that distinguishes it from all other f32 values.
pub(crate) fn single_text(number: f32) -> String {
    text_of_single_js(number).unwrap_or_default()
}
