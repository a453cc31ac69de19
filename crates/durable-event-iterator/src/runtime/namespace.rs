//! Namespaces and stubs: how a Worker reaches an object.

use super::JsError;
use js_sys::Array;
use wasm_bindgen::prelude::*;
use worker::web_sys::Request;

#[wasm_bindgen(module = "/src/runtime/namespace.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = stubOf)]
    fn stub_of_js(
        namespace: &JsValue,
        name: &str,
        location_hint: Option<&str>,
        jurisdiction: Option<&str>,
    ) -> Result<Stub, JsValue>;

    #[wasm_bindgen(catch, js_name = headOf)]
    fn head_of_js(request: &Request) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, js_name = forward)]
    async fn forward_js(stub: &Stub, request: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = call)]
    async fn call_js(stub: &Stub, method: &str, args: &Array) -> Result<JsValue, JsValue>;

    /// A stub of an object.
    #[derive(Clone, Debug)]
    pub(crate) type Stub;
}

/// The stub of the object of that name.
pub(crate) fn stub(
    namespace: &JsValue,
    name: &str,
    location_hint: Option<&str>,
    jurisdiction: Option<&str>,
) -> Result<Stub, JsError> {
    Ok(stub_of_js(namespace, name, location_hint, jurisdiction)?)
}

/// The `Upgrade` header and the URL of a request.
pub(crate) fn head_of(request: &Request) -> (Option<String>, String) {
    let head = head_of_js(request).unwrap_or_default();
    // Where a URL begins there is no space in it: it is percent-encoded.
    let (upgrade, url) = head.rsplit_once(' ').unwrap_or_default();
    ((!upgrade.is_empty()).then(|| upgrade.to_owned()), url.to_owned())
}

impl Stub {
    /// Sends the object the upgrade request, with its query as it came.
    pub(crate) async fn forward(&self, request: &JsValue) -> Result<JsValue, JsError> {
        Ok(forward_js(self, request).await?)
    }

    /// Calls an RPC method of the Durable Object. The error is what it has thrown, or an object with the properties of that.
    pub(crate) async fn call(&self, method: &str, args: &Array) -> Result<JsValue, JsValue> {
        let settled = call_js(self, method, args).await?;
        let part = |key: &str| js_sys::Reflect::get(&settled, &key.into()).unwrap_or_default();
        let error = part("error");
        if error.is_undefined() { Ok(part("value")) } else { Err(error) }
    }
}
