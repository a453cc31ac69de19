//! The log and the metrics of a Durable Object.

use super::object_state::current;
use crate::runtime::JsError;
use worker::Env;

/// Writes a JSON object to the log. It must not contain a token, a key or an attachment.
pub(crate) fn log_object(json: &str, _is_error: bool) {
    super::log_error(json);
}

/// An Analytics Engine dataset, whose data points the state of the Durable Object keeps for tests.
pub(crate) struct Dataset(());

impl Dataset {
    /// Returns the dataset. The state of a Durable Object has one of every name.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may not exist")]
    pub(crate) fn bound(_env: &Env, _name: &str) -> Option<Self> {
        Some(Self(()))
    }

    /// Writes a data point, as JSON.
    #[expect(clippy::unused_self, reason = "on the Workers runtime there may be several")]
    pub(crate) fn write(&self, point: &str) -> Result<(), JsError> {
        let state = current().ok_or_else(|| JsError::new("no Durable Object has been entered"))?;
        state.add_data_point(point.to_owned());
        Ok(())
    }
}
