//! Validation of texts by JavaScript's constructors.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/javascript/constructors.js")]
extern "C" {
    // These functions catch all exceptions.
    #[wasm_bindgen(js_name = isUrl)]
    pub(crate) fn is_url(text: &str) -> bool;

    #[wasm_bindgen(js_name = isRegExp)]
    pub(crate) fn is_regexp(source: &str, flags: &str) -> bool;
}
