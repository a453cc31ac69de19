//! `~publishBatch`, which publishes several events at once.

use super::Host;
use crate::{
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::RpcValue,
};

impl<O: DurableEventIteratorObject> Host<O> {
    /// Handles `~publishBatch`: returns the published ids as JSON text.
    pub(super) fn publish_batch(&self, _batch: &RpcValue) -> Result<String> {
        Err(Error::new(Code::NotImplemented))
    }
}
