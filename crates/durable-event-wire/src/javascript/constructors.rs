//! Whether JavaScript's constructors take a text.

use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/javascript/constructors.js")]
extern "C" {
    // These catch what is thrown themselves.
    #[wasm_bindgen(js_name = isUrl)]
    pub(crate) fn is_url(text: &str) -> bool;

    #[wasm_bindgen(js_name = isRegExp)]
    pub(crate) fn is_regexp(source: &str, flags: &str) -> bool;
}
