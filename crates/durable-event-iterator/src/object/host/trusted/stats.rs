//! `~stats` and `~connections`, the numbers of a channel and of its sockets.

use super::Host;
use crate::{
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::RpcValue,
};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~stats`: returns the numbers of the channel as JSON text.
    pub(super) fn stats(&self, _query: &RpcValue) -> Result<String> {
        Err(Error::new(Code::NotImplemented))
    }

    /// Handles `~connections`: returns a page of the open sockets as JSON text.
    pub(super) fn connections(&self, _query: &RpcValue) -> Result<String> {
        Err(Error::new(Code::NotImplemented))
    }
}
