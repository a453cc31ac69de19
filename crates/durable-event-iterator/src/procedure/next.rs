//! What stands around a call.

use super::Reply;
use crate::error::Result;
use futures_util::future::LocalBoxFuture;
use std::fmt;

/// The call itself, for what wraps it: see
/// [`DurableEventIteratorObject::intercept`](crate::DurableEventIteratorObject::intercept).
#[must_use = "the call has not run yet"]
pub struct Next<'a>(LocalBoxFuture<'a, Result<Reply>>);

impl<'a> Next<'a> {
    pub(crate) fn new(call: LocalBoxFuture<'a, Result<Reply>>) -> Self {
        Self(call)
    }

    /// Runs the call.
    ///
    /// # Errors
    /// The call's own.
    pub async fn run(self) -> Result<Reply> {
        self.0.await
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next(..)")
    }
}
