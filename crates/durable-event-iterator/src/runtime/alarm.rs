//! The object's one alarm.

use super::{JsError, log_error};
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = ensureAlarm)]
    fn ensure_alarm_js(storage: &JsValue, at: f64) -> Result<(), JsValue>;
}

/// The alarm of the object whose `ctx.storage` this is.
pub(crate) struct Alarm(JsValue);

impl Alarm {
    pub(crate) fn new(storage: JsValue) -> Self {
        Self(storage)
    }

    /// Sets the alarm for this time, in milliseconds since the epoch, unless one is set already. Does not wait: the
    /// write goes along with the event's.
    pub(crate) fn ensure(&self, at_ms: u64) {
        if let Err(thrown) = ensure_alarm_js(&self.0, at_ms as f64) {
            log_error(&format!("setting the alarm failed: {}", JsError::from(thrown)));
        }
    }
}
