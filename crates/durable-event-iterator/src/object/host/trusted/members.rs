//! `~members`, the members of a channel with presence.

use super::Host;
use crate::{error::Result, object::DurableEventIteratorObject, presence, runtime::RpcValue};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~members`: returns the members as JSON text.
    ///
    /// # Errors
    /// NOT_FOUND if presence is off.
    pub(super) fn members(&self, _query: &RpcValue) -> Result<String> {
        presence::members_json(&self.core)
    }
}
