//! The alarm.

use super::Host;
use crate::{object::DurableEventIteratorObject, runtime};
use wasm_bindgen::JsValue;

impl<O: DurableEventIteratorObject> Host<O> {
    /// The object's alarm has gone off; or a stub calls its name, which does no harm.
    pub(super) async fn alarm(&self) -> JsValue {
        let result = if self.options().prune_by_alarm {
            self.core.prune_and_rearm().await
        } else {
            self.object.alarm().await
        };
        result.map_or_else(
            |error| {
                runtime::log_error(&format!("the alarm failed, the platform tries again: {error}"));
                runtime::failure(&error)
            },
            |()| JsValue::UNDEFINED,
        )
    }
}
