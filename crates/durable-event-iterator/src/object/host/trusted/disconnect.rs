//! `~disconnect` and `~revoke`, which close the sockets of clients.

use super::Host;
use crate::{
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::RpcValue,
};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~disconnect`: returns the number of closed sockets as JSON text.
    pub(super) fn disconnect(&self, _options: &RpcValue) -> Result<String> {
        Err(Error::new(Code::NotImplemented))
    }

    /// Handles `~revoke`: returns the number of closed sockets as JSON text.
    pub(super) fn revoke(&self, _options: &RpcValue) -> Result<String> {
        Err(Error::new(Code::NotImplemented))
    }
}
