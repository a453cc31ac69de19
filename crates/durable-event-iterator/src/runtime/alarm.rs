//! The object's one alarm.

use super::JsError;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = ensureAlarm)]
    async fn ensure_alarm_js(storage: &JsValue, at: f64) -> Result<JsValue, JsValue>;
}

/// The alarm of the object whose `ctx.storage` this is.
#[derive(Clone)]
pub(crate) struct Alarm(JsValue);

impl Alarm {
    pub(crate) fn new(storage: JsValue) -> Self {
        Self(storage)
    }

    /// Sets the alarm for this time, in milliseconds since the epoch, unless one is set already.
    pub(crate) async fn ensure(&self, at_ms: u64) -> Result<(), JsError> {
        ensure_alarm_js(&self.0, at_ms as f64).await.map(drop).map_err(JsError::from)
    }
}
