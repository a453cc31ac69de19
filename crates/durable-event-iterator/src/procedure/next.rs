//! The call inside an interceptor.

use super::Reply;
use crate::error::Result;
use futures_util::future::LocalBoxFuture;
use std::fmt;

/// The call that an interceptor wraps, see
/// [`DurableEventIteratorObject::intercept`](crate::DurableEventIteratorObject::intercept).
#[must_use = "the call has not run yet"]
pub struct Next<'a>(LocalBoxFuture<'a, Result<Reply>>);

impl<'a> Next<'a> {
    pub(crate) fn new(call: LocalBoxFuture<'a, Result<Reply>>) -> Self {
        Self(call)
    }

    /// Runs the call and returns its output. If the output is a stream, it returns when the stream starts.
    ///
    /// # Errors
    /// The error of the call.
    pub async fn run(self) -> Result<Reply> {
        self.0.await
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next(..)")
    }
}
