//! Namespaces and stubs: how a Worker reaches an object.

use super::JsError;
use js_sys::Array;
use wasm_bindgen::prelude::*;
use worker::web_sys::{Request, Response};

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

    #[wasm_bindgen(catch, js_name = refuse)]
    fn refuse_js(status: u16, text: &str, retry_after: Option<u32>) -> Result<Response, JsValue>;

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

/// Whether a Durable Object is a channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// The Durable Object has no name, and no binding of its Worker proves that it is the channel's.
    Unknown,
}

/// An upgrade request, as far as it matters.
#[derive(Debug)]
pub(crate) struct UpgradeRequest {
    /// The value of the `Upgrade` header.
    pub(crate) upgrade: Option<String>,
    pub(crate) url: String,
}

/// Reads a request.
pub(crate) fn head_of(request: &Request) -> UpgradeRequest {
    let head = head_of_js(request).unwrap_or_default();
    // Where a URL begins there is no space in it: it is percent-encoded.
    let (upgrade, url) = head.rsplit_once(' ').unwrap_or_default();
    UpgradeRequest { upgrade: (!upgrade.is_empty()).then(|| upgrade.to_owned()), url: url.to_owned() }
}

/// The answer to an upgrade that is refused. `retry_after` is a header, in seconds.
pub(crate) fn refuse(status: u16, text: &str, retry_after: Option<u32>) -> Result<Response, JsError> {
    Ok(refuse_js(status, text, retry_after)?)
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
