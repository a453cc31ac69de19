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

    #[wasm_bindgen(js_name = Identity)]
    type JsIdentity;

    #[wasm_bindgen(constructor, js_class = "Identity", catch)]
    fn construct(ctx: &JsValue, env: &JsValue) -> Result<JsIdentity, JsValue>;

    // Cannot throw.
    #[wasm_bindgen(method, js_class = "Identity", js_name = name)]
    fn name_js(this: &JsIdentity) -> Option<String>;

    #[wasm_bindgen(method, catch, js_class = "Identity", js_name = is)]
    fn is_js(this: &JsIdentity, channel: &str) -> Result<u8, JsValue>;

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

/// The answer to an upgrade that is refused. `retry_after` is a header, in seconds.
pub(crate) fn refuse(status: u16, text: &str, retry_after: Option<u32>) -> Result<Response, JsError> {
    Ok(refuse_js(status, text, retry_after)?)
}

/// Which channel a Durable Object is.
pub(crate) struct Identity(JsIdentity);

/// Whether a Durable Object is a channel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Yes,
    No,
    /// The Durable Object has no name, and no binding of its Worker proves that it is the channel's.
    Unknown,
}

impl Identity {
    /// That of the Durable Object whose `ctx` and `env` these are.
    pub(crate) fn new(ctx: &JsValue, env: &JsValue) -> Result<Self, JsError> {
        Ok(Self(JsIdentity::construct(ctx, env)?))
    }

    /// The name, as far as it is known.
    pub(crate) fn name(&self) -> Option<String> {
        self.0.name_js()
    }

    /// Whether it is the channel of this name.
    pub(crate) fn is(&self, channel: &str) -> Result<Verdict, JsError> {
        Ok(match self.0.is_js(channel)? {
            0 => Verdict::Yes,
            1 => Verdict::No,
            _ => Verdict::Unknown,
        })
    }
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
