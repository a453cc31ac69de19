//! The alarm.

use super::Host;
use crate::{counters::Anomaly, error::Result, object::DurableEventIteratorObject, runtime};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles the Durable Object's alarm. A stub can call it by its name too, which is harmless.
    pub(in crate::object) async fn alarm(&self) -> Result<()> {
        let result = if self.options().prune_by_alarm {
            self.core.prune_and_rearm().await
        } else {
            self.object.alarm().await
        };
        result.inspect_err(|error| {
            self.core.counters.report(Anomaly::AlarmFailure);
            runtime::log_error(&format!("the alarm failed, the Workers runtime will retry it: {error}"));
        })
    }
}
