//! A stream as the input of a procedure.

use crate::{
    error::{Error, Result},
    wire::{Value, from_value},
};
use futures_util::Stream;
use serde::de::DeserializeOwned;
use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt,
    marker::PhantomData,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

/// The items that a client sends as the input of a call, as they come.
///
/// It ends when the client's iterator does. An item that is no `T`, and an error of the client's iterator, are errors
/// of the stream.
pub struct Upload<T> {
    queue: Rc<RefCell<Queue>>,
    items: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Upload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(..)")
    }
}

impl Upload<Value> {
    /// The two ends of a client's stream.
    pub(crate) fn channel() -> (UploadSender, Self) {
        let queue = Rc::new(RefCell::new(Queue::default()));
        (UploadSender(Rc::clone(&queue)), Self { queue, items: PhantomData })
    }

    pub(crate) fn typed<U>(self) -> Upload<U> {
        Upload { queue: self.queue, items: PhantomData }
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Result<Value>>,
    has_ended: bool,
    reader: Option<Waker>,
}

/// The end to which the frames of a client's stream are given.
pub(crate) struct UploadSender(Rc<RefCell<Queue>>);

impl UploadSender {
    pub(crate) fn send(&self, item: Result<Value>) {
        self.change(|queue| queue.items.push_back(item));
    }

    pub(crate) fn end(&self) {
        self.change(|queue| queue.has_ended = true);
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let reader = match self.0.try_borrow_mut() {
            Ok(mut queue) => {
                change(&mut queue);
                queue.reader.take()
            }
            Err(_) => None,
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl<T: DeserializeOwned> Stream for Upload<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Ok(mut queue) = self.queue.try_borrow_mut() else { return Poll::Ready(None) };
        match queue.items.pop_front() {
            Some(item) => Poll::Ready(Some(item.and_then(|value| from_value(value).map_err(Error::from)))),
            None if queue.has_ended => Poll::Ready(None),
            None => {
                queue.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
