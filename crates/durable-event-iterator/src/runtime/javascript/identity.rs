//! Determines the channel that a Durable Object serves.

use crate::runtime::{Context, JsError, Verdict};
use wasm_bindgen::prelude::*;
use worker::Env;

#[wasm_bindgen(module = "/src/runtime/namespace.js")]
extern "C" {
    #[wasm_bindgen(js_name = Identity)]
    type JsIdentity;

    #[wasm_bindgen(constructor, js_class = "Identity", catch)]
    fn construct(ctx: &JsValue, env: &JsValue) -> Result<JsIdentity, JsValue>;

    // Cannot throw.
    #[wasm_bindgen(method, js_class = "Identity", js_name = name)]
    fn name_js(this: &JsIdentity) -> Option<String>;

    #[wasm_bindgen(method, catch, js_class = "Identity", js_name = is)]
    fn is_js(this: &JsIdentity, channel: &str) -> Result<u8, JsValue>;
}

/// Determines the channel that a Durable Object serves.
pub(crate) struct Identity(JsIdentity);

impl Identity {
    /// Creates the identity from the `ctx` and `env` of the Durable Object.
    pub(crate) fn new(ctx: &Context, env: &Env) -> Result<Self, JsError> {
        Ok(Self(JsIdentity::construct(ctx.as_ref(), env.as_ref())?))
    }

    /// Returns the channel name, if it is known.
    pub(crate) fn name(&self) -> Option<String> {
        self.0.name_js()
    }

    /// Returns whether the Durable Object serves the channel of this name.
    pub(crate) fn is(&self, channel: &str) -> Result<Verdict, JsError> {
        Ok(match self.0.is_js(channel)? {
            0 => Verdict::Yes,
            1 => Verdict::No,
            _ => Verdict::Unknown,
        })
    }
}
