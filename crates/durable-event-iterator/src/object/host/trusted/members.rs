//! `~members`, the members of a channel with presence.

use super::Host;
use crate::{
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::RpcValue,
};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~members`: returns the members as JSON text.
    pub(super) fn members(&self, _query: &RpcValue) -> Result<String> {
        Err(Error::new(Code::NotImplemented))
    }
}
