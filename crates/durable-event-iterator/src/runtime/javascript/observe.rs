//! The log and the metrics of a Worker.

use crate::runtime::JsError;
use wasm_bindgen::prelude::*;
use worker::Env;

#[wasm_bindgen(module = "/src/runtime/observe.js")]
extern "C" {
    #[wasm_bindgen(catch, js_name = logObject)]
    fn log_object_js(json: &str, is_error: bool) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_name = datasetOf)]
    fn dataset_of_js(env: &JsValue, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_name = writeDataPoint)]
    fn write_data_point_js(dataset: &JsValue, json: &str) -> Result<(), JsValue>;
}

/// Writes a JSON object to the Worker's log. It must not contain a token, a key or an attachment.
pub(crate) fn log_object(json: &str, is_error: bool) {
    let _ = log_object_js(json, is_error); // the text is JSON
}

/// An Analytics Engine dataset.
pub(crate) struct Dataset(JsValue);

impl Dataset {
    /// Returns the dataset that is bound under this name, or `None` if there is no such binding or it is not a dataset.
    pub(crate) fn bound(env: &Env, name: &str) -> Option<Self> {
        let dataset = dataset_of_js(env.as_ref(), name).ok()?;
        (!dataset.is_undefined()).then_some(Self(dataset))
    }

    /// Writes a data point, as JSON.
    pub(crate) fn write(&self, point: &str) -> Result<(), JsError> {
        Ok(write_data_point_js(&self.0, point)?)
    }
}
