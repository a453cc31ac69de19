//! Streams as the input of a procedure.

use crate::{
    error::{Code, Error, Result},
    procedure::Held,
};
use durable_event_wire::{Value, from_value};
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

/// A stream of items that a client sends as the input of a call.
///
/// It ends when the client's iterator ends. An item that is not a `T` is an error of the stream (BAD_REQUEST), as is an error
/// of the client's iterator. When the procedure returns before the end of the stream, the client is notified to stop.
///
/// # Limits
///
/// The protocol has no flow control, so items that arrive faster than they are read are kept in memory: one item of any size,
/// or items up to [`Options::max_frame`](crate::Options::max_frame) bytes together. Beyond that, the stream fails with
/// PAYLOAD_TOO_LARGE. Unread items count towards [`Options::max_call_bytes`](crate::Options::max_call_bytes) and
/// [`Options::max_total_call_bytes`](crate::Options::max_total_call_bytes). If the memory of other calls leaves too little, the
/// stream fails with TOO_MANY_REQUESTS.
pub struct Upload<T> {
    reader: QueueReader,
    items: PhantomData<fn() -> T>,
}

impl<T> fmt::Debug for Upload<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upload(..)")
    }
}

impl Upload<Value> {
    /// Returns the two ends of a client's stream. `max_unread` is the maximum size of its unread items in bytes; `held` counts
    /// their memory.
    pub(crate) fn channel(max_unread: usize, held: Rc<Held>) -> (UploadSender, Self) {
        let queue = Queue {
            items: VecDeque::new(),
            unread: 0,
            max_unread,
            held,
            has_ended: false,
            is_abandoned: false,
            waker: None,
        };
        let queue = Rc::new(RefCell::new(queue));
        (UploadSender(Rc::clone(&queue)), Self { reader: QueueReader(queue), items: PhantomData })
    }

    pub(crate) fn typed<U>(self) -> Upload<U> {
        Upload { reader: self.reader, items: PhantomData }
    }
}

struct Queue {
    items: VecDeque<Unread>,
    /// The size of all items in bytes.
    unread: usize,
    max_unread: usize,
    held: Rc<Held>,
    has_ended: bool,
    /// Whether the reader has been dropped.
    is_abandoned: bool,
    waker: Option<Waker>,
}

impl Queue {
    fn take(&mut self) -> Option<Result<Value>> {
        let Unread { item, bytes } = self.items.pop_front()?;
        self.unread = self.unread.saturating_sub(bytes);
        self.held.release(bytes);
        Some(item)
    }
}

/// The end from which the procedure reads. Dropping it discards the unread items.
struct QueueReader(Rc<RefCell<Queue>>);

impl Drop for QueueReader {
    fn drop(&mut self) {
        if let Ok(mut queue) = self.0.try_borrow_mut() {
            queue.is_abandoned = true;
            while queue.take().is_some() {}
        }
    }
}

struct Unread {
    item: Result<Value>,
    bytes: usize,
}

/// The memory of an item in addition to its value, in bytes. It limits the number of very small items.
const ITEM_BYTES: usize = 64;

/// The error for an item that the queue does not accept. The stream has ended.
#[derive(Debug)]
pub(crate) struct Overrun;

/// The end to which the items of a client's stream are written.
pub(crate) struct UploadSender(Rc<RefCell<Queue>>);

impl UploadSender {
    /// Returns the memory of an item in bytes.
    pub(crate) fn bytes_of(item: &Value) -> usize {
        item.memory().saturating_add(ITEM_BYTES)
    }

    /// Adds an item to the queue. `bytes` is its memory, for which the limits of all calls must have been checked.
    ///
    /// # Errors
    /// [`Overrun`] if the unread items exceed the maximum, or if the reader has been dropped.
    pub(crate) fn send(&self, item: Value, bytes: usize) -> Result<(), Overrun> {
        let Ok(queue) = self.0.try_borrow() else { return Err(Overrun) };
        if queue.is_abandoned {
            return Err(Overrun);
        }
        let fits = queue.items.is_empty() || queue.unread.saturating_add(bytes) <= queue.max_unread;
        drop(queue);
        if !fits {
            let message = "The client sends the stream faster than the procedure reads it";
            self.fail(Error::new(Code::PayloadTooLarge).message(message));
            return Err(Overrun);
        }
        self.change(|queue| {
            queue.unread = queue.unread.saturating_add(bytes);
            queue.held.add(bytes);
            queue.items.push_back(Unread { item: Ok(item), bytes });
        });
        Ok(())
    }

    /// Ends the stream with an error.
    pub(crate) fn fail(&self, error: Error) {
        self.change(|queue| {
            queue.items.push_back(Unread { item: Err(error), bytes: 0 });
            queue.has_ended = true;
        });
    }

    pub(crate) fn end(&self) {
        self.change(|queue| queue.has_ended = true);
    }

    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let waker = match self.0.try_borrow_mut() {
            Ok(mut queue) => {
                change(&mut queue);
                queue.waker.take()
            }
            Err(_) => None,
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T: DeserializeOwned> Stream for Upload<T> {
    type Item = Result<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let Ok(mut queue) = self.reader.0.try_borrow_mut() else { return Poll::Ready(None) };
        match queue.take() {
            Some(item) => {
                drop(queue); // `from_value` may run application code, which may use the stream
                Poll::Ready(Some(item.and_then(|value| from_value(value).map_err(Error::invalid_input))))
            }
            None if queue.has_ended => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};
    use std::cell::Cell;

    fn read<T: DeserializeOwned>(upload: &mut Upload<T>) -> Option<Option<Result<T, String>>> {
        let next = upload.next().now_or_never();
        next.map(|item| item.map(|item| item.map_err(|error| error.code().to_owned())))
    }

    fn channel(max_unread: usize) -> (UploadSender, Upload<Value>, Rc<Cell<usize>>) {
        let total = Rc::new(Cell::new(0));
        let (sender, upload) = Upload::channel(max_unread, Held::new(&total));
        (sender, upload, total)
    }

    #[test]
    fn items_are_read_in_order_until_the_end() {
        let (sender, upload, total) = channel(1_000);
        let mut upload = upload.typed::<u8>();
        assert_eq!(read(&mut upload), None);
        sender.send(1.into(), 1).unwrap();
        sender.send("not a number".into(), 1).unwrap();
        sender.send(2.into(), 1).unwrap();
        assert_eq!(total.get(), 3);
        sender.end();
        assert_eq!(read(&mut upload), Some(Some(Ok(1))));
        assert_eq!(read(&mut upload), Some(Some(Err("BAD_REQUEST".into()))));
        assert_eq!(read(&mut upload), Some(Some(Ok(2))));
        assert_eq!(read(&mut upload), Some(None));
        assert_eq!(total.get(), 0);
    }

    #[test]
    fn unread_items_are_limited() {
        let (sender, mut upload, _) = channel(300);
        for _ in 0..5 {
            sender.send(1.into(), 200).unwrap();
            assert_eq!(read(&mut upload), Some(Some(Ok(1.into()))));
        }
        // One item is always accepted: its message was not too large.
        sender.send(1.into(), 1_000).unwrap();
        assert!(sender.send(2.into(), 1).is_err());
        assert_eq!(read(&mut upload), Some(Some(Ok(1.into()))));
        assert_eq!(read(&mut upload), Some(Some(Err("PAYLOAD_TOO_LARGE".into()))));
        assert_eq!(read(&mut upload), Some(None));
    }

    #[test]
    fn many_small_items_are_limited() {
        let (sender, _upload, _) = channel(10_000);
        let bytes = UploadSender::bytes_of(&Value::Null);
        let sent = (0..1_000).take_while(|_| sender.send(Value::Null, bytes).is_ok()).count();
        assert_eq!(sent, 10_000 / bytes);
    }

    #[test]
    fn dropping_the_reader_releases_the_memory() {
        let (sender, upload, total) = channel(1_000);
        sender.send(1.into(), 100).unwrap();
        assert_eq!(total.get(), 100);
        drop(upload);
        assert_eq!(total.get(), 0);
        assert!(sender.send(2.into(), 100).is_err());
        assert_eq!(total.get(), 0);
    }
}
