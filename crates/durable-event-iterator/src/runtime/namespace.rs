//! Namespaces and stubs, with which a Worker calls a Durable Object.

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

    #[wasm_bindgen(catch, js_name = publisherRequest)]
    fn publisher_request_js(request: &Request) -> Result<Option<Array>, JsValue>;

    #[wasm_bindgen(catch, js_name = rejectionResponse)]
    fn rejection_response_js(status: u16, text: &str, retry_after: Option<u32>) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = forward)]
    async fn forward_js(stub: &Stub, request: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = call)]
    async fn call_js(stub: &Stub, method: &str, args: &Array) -> Result<JsValue, JsValue>;

    /// A stub of a Durable Object.
    #[derive(Clone, Debug)]
    pub(crate) type Stub;
}

/// Returns the stub of the Durable Object with this name.
pub(crate) fn stub(
    namespace: &JsValue,
    name: &str,
    location_hint: Option<&str>,
    jurisdiction: Option<&str>,
) -> Result<Stub, JsError> {
    Ok(stub_of_js(namespace, name, location_hint, jurisdiction)?)
}

/// Whether a Durable Object serves a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// The Durable Object has no name, and no binding of its Worker proves that it serves the channel.
    Unknown,
}

/// The parts of an upgrade request that are needed.
#[derive(Debug)]
pub(crate) struct UpgradeRequest {
    /// The value of the `Upgrade` header.
    pub(crate) upgrade: Option<String>,
    pub(crate) url: String,
}

/// Reads the `Upgrade` header and the URL of a request.
pub(crate) fn head_of(request: &Request) -> UpgradeRequest {
    let head = head_of_js(request).unwrap_or_default();
    // A URL contains no space: spaces in it are percent-encoded.
    let (upgrade, url) = head.rsplit_once(' ').unwrap_or_default();
    UpgradeRequest { upgrade: (!upgrade.is_empty()).then(|| upgrade.to_owned()), url: url.to_owned() }
}

/// A request of oRPC's publisher in a Worker.
#[cfg(target_arch = "wasm32")]
pub(crate) enum PublisherRequest {
    Publish,
    Subscribe { last_event_id: Option<String> },
}

/// Reads a request of oRPC's publisher. Returns `None` for any other request, also for one that was forwarded from a client.
#[cfg(target_arch = "wasm32")]
pub(crate) fn publisher_request(request: &Request) -> Option<PublisherRequest> {
    let parts = publisher_request_js(request).ok()??;
    match parts.get(0).as_f64()? as u8 {
        0 => Some(PublisherRequest::Publish),
        1 => Some(PublisherRequest::Subscribe { last_event_id: parts.get(1).as_string() }),
        _ => None,
    }
}

/// Returns the response to a rejected upgrade. `retry_after`, in seconds, sets the header of that name.
pub(crate) fn rejection_response(
    status: u16,
    text: &str,
    retry_after: Option<u32>,
) -> Result<Response, JsError> {
    Ok(rejection_response_js(status, text, retry_after)?)
}

impl Stub {
    /// Forwards an upgrade request to the Durable Object unchanged.
    pub(crate) async fn forward(&self, request: &JsValue) -> Result<JsValue, JsError> {
        Ok(forward_js(self, request).await?)
    }

    /// Calls an RPC method of the Durable Object.
    ///
    /// # Errors
    /// Returns the exception of the method, or a JavaScript object with its properties.
    pub(crate) async fn call(&self, method: &str, args: &Array) -> Result<JsValue, JsValue> {
        let settled = call_js(self, method, args).await?;
        let part = |key: &str| js_sys::Reflect::get(&settled, &key.into()).unwrap_or_default();
        let error = part("error");
        if error.is_undefined() { Ok(part("value")) } else { Err(error) }
    }
}
