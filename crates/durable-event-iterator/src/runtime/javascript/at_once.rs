//! Running what is usually done at once, and seldom has to wait.

use futures_util::task::AtomicWaker;
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

/// Runs a future as far as it gets now: its result if it has ended, otherwise a promise of it. Most calls end at once, and
/// neither a promise nor a turn of the microtask queue has to be paid for them.
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

/// Wakes whoever polls the future now. There are futures that keep the first waker they see (worker's `Delay` does), so the
/// future gets this one from the beginning, before there is anybody to wake.
struct Relay(AtomicWaker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}
