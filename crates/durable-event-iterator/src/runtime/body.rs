//! The body of a request.

use super::JsError;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, prelude::*};

#[wasm_bindgen(module = "/src/runtime/body.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = readBody)]
    async fn read_body_js(request: &JsValue, limit: f64) -> Result<JsValue, JsValue>;
}

/// Reads the bytes of a request's body, or returns `None` if there are more than `limit`. A larger body never enters WASM memory,
/// which never shrinks.
pub(crate) async fn read_body(
    request: &worker::web_sys::Request,
    limit: usize,
) -> Result<Option<Vec<u8>>, JsError> {
    let bytes = read_body_js(request.as_ref(), limit as f64).await?;
    Ok(bytes.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec))
}
