//! Running what is usually done at once, and seldom has to wait.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Runs a future as far as it gets now: its result if it has ended, otherwise a promise of it. Most calls end at once, and
/// neither a promise nor a turn of the microtask queue has to be paid for them.
///
/// # Errors
/// The future's own, if it has ended at once.
pub(crate) fn at_once(
    future: impl Future<Output = Result<JsValue, JsValue>> + 'static,
) -> Result<JsValue, JsValue> {
    let mut future: Pin<Box<dyn Future<Output = _>>> = Box::pin(future);
    // Nobody has to be woken: what has not ended is polled anew by the promise, and leaves its waker then.
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Ok(future_to_promise(future).into()),
    }
}
