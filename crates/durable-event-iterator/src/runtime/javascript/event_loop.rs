//! The clock, turns of the event loop, and the log.

use crate::runtime::JsError;
use std::future::Future;
use wasm_bindgen::prelude::*;

#[wasm_bindgen(module = "/src/runtime/hot.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = pause)]
    async fn pause_js(milliseconds: f64) -> Result<JsValue, JsValue>;
}

/// Runs a future in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(future);
}

/// Returns the time in milliseconds since 1970. In production the clock stands still while code runs.
pub(crate) fn now_ms() -> u64 {
    // A JavaScript time fits 53 bits; `as` saturates, so that a negative clock is 0.
    js_sys::Date::now() as u64
}

/// Yields until the next turn of the event loop.
pub(crate) async fn next_turn() -> Result<(), JsError> {
    pause(0).await
}

/// Waits for this many milliseconds. Other tasks run meanwhile.
pub(crate) async fn pause(milliseconds: u64) -> Result<(), JsError> {
    pause_js(milliseconds as f64).await.map(drop).map_err(JsError::from)
}

/// Writes a warning to the Worker's log. The line must not contain a token, a key or an attachment.
pub(crate) fn log_warning(line: &str) {
    worker::console_warn!("durable-event-iterator: {line}");
}

/// Writes an error to the Worker's log. The line must not contain a token, a key or an attachment.
pub(crate) fn log_error(line: &str) {
    worker::console_error!("durable-event-iterator: {line}");
}
