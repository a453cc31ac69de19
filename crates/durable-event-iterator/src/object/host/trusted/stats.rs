//! `~stats` and `~connections`, the numbers of a channel and of its sockets.

use super::{Host, argument};
use crate::{error::Result, object::DurableEventIteratorObject, runtime::RpcValue};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~stats`: returns the numbers of the channel as JSON text.
    pub(super) fn stats(&self, query: &RpcValue) -> Result<String> {
        Ok(serde_json::to_string(&self.core.stats(&argument("stats query", query)?)?)?)
    }

    /// Handles `~connections`: returns a page of the open sockets as JSON text.
    pub(super) fn connections(&self, query: &RpcValue) -> Result<String> {
        Ok(serde_json::to_string(&self.core.connections(&argument("connections query", query)?)?)?)
    }
}
