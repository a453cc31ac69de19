//! `~members`, the members of a channel with presence.

use super::Host;
use crate::{channel::presence, error::Result, object::DurableEventIteratorObject, runtime::RpcValue};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~members`: returns the members as JSON text.
    ///
    /// # Errors
    /// NOT_FOUND if presence is off.
    pub(super) fn members(&self, _query: &RpcValue) -> Result<String> {
        presence::members_json(&self.core)
    }
}
