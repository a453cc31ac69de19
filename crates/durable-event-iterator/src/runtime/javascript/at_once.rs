//! Runs futures that usually complete without waiting.

use futures_util::task::AtomicWaker;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Polls a future once. Returns its result if it is complete, and a promise otherwise. Most calls complete at once and need
/// neither a promise nor a turn of the microtask queue.
pub(crate) fn at_once(future: impl Future<Output = JsValue> + 'static) -> JsValue {
    let mut future: Pin<Box<dyn Future<Output = _>>> = Box::pin(future);
    let relay = Arc::new(Relay(AtomicWaker::new()));
    let waker = Waker::from(Arc::clone(&relay));
    if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
        return result;
    }
    let rest = poll_fn(move |context| {
        relay.0.register(context.waker());
        future.as_mut().poll(&mut Context::from_waker(&waker)).map(Ok)
    });
    future_to_promise(rest).into()
}

/// Wakes the task that polls the future. Some futures keep the first waker that they see, such as `worker::Delay`, so the future
/// receives this one from the first poll on, before the task exists.
struct Relay(AtomicWaker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}
