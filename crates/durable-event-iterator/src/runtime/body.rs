//! The body of a request.

use super::JsError;
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, prelude::*};

#[wasm_bindgen(module = "/src/runtime/body.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = readBody)]
    async fn read_body_js(request: &JsValue, limit: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = readText)]
    async fn read_text_js(request: &JsValue, limit: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = parseObject)]
    fn parse_object_js(text: &JsValue) -> Result<JsValue, JsValue>;
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

/// The body of a request as text, which has not entered WASM.
pub(crate) enum TextBody {
    Text(JsValue),
    /// It has too many bytes. It was not read to its end.
    TooLarge,
    NotUtf8,
}

/// Reads the body of a request as text, of at most `limit` bytes.
pub(crate) async fn read_text(request: &worker::web_sys::Request, limit: usize) -> Result<TextBody, JsError> {
    let text = read_text_js(request.as_ref(), limit as f64).await?;
    Ok(match () {
        () if text.is_undefined() => TextBody::TooLarge,
        () if text.is_null() => TextBody::NotUtf8,
        () => TextBody::Text(text),
    })
}

/// Returns the object of a JSON text, or `None` if the text is not the JSON of an object.
pub(crate) fn parse_object(text: &JsValue) -> Result<Option<JsValue>, JsError> {
    let object = parse_object_js(text)?;
    Ok((!object.is_undefined()).then_some(object))
}
