//! The alarm.

use super::Host;
use crate::{error::Result, object::DurableEventIteratorObject, runtime};

impl<O: DurableEventIteratorObject> Host<O> {
    /// The object's alarm has gone off; or a stub calls its name, which does no harm.
    pub(in crate::object) async fn alarm(&self) -> Result<()> {
        let result = if self.options().prune_by_alarm {
            self.core.prune_and_rearm().await
        } else {
            self.object.alarm().await
        };
        result.inspect_err(|error| {
            runtime::log_error(&format!("the alarm failed, the platform tries again: {error}"));
        })
    }
}
