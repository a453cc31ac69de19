//! A stream as the input of a procedure.

use crate::{
    error::{Code, Error, Result},
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
/// of the stream. A client cannot be asked to wait, so items that come faster than they are read are kept, as many
/// bytes as a frame may have ([`Options::max_frame`](crate::Options::max_frame)); beyond that the stream fails with
/// PAYLOAD_TOO_LARGE.
///
/// A procedure that answers before the end tells the client to stop.
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
    pub(crate) fn channel(max_unread: usize) -> (UploadSender, Self) {
        let queue = Rc::new(RefCell::new(Queue { max_unread, ..Queue::default() }));
        (UploadSender(Rc::clone(&queue)), Self { queue, items: PhantomData })
    }

    pub(crate) fn typed<U>(self) -> Upload<U> {
        Upload { queue: self.queue, items: PhantomData }
    }
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Unread>,
    /// Bytes of all of them.
    unread: usize,
    max_unread: usize,
    has_ended: bool,
    reader: Option<Waker>,
}

struct Unread {
    item: Result<Value>,
    bytes: usize,
}

/// What an item takes beside its text, in bytes: so that very many small ones are bounded too.
const ITEM_BYTES: usize = 64;

/// A stream has been sent faster than it was read, for too long. It has ended.
#[derive(Debug)]
pub(crate) struct Overrun;

/// The end to which the frames of a client's stream are given.
pub(crate) struct UploadSender(Rc<RefCell<Queue>>);

impl UploadSender {
    /// Hands over an item whose text has so many bytes.
    pub(crate) fn send(&self, item: Value, bytes: usize) -> Result<(), Overrun> {
        let bytes = bytes.saturating_add(ITEM_BYTES);
        let fits = self.0.try_borrow().is_ok_and(|queue| {
            queue.items.is_empty() || queue.unread.saturating_add(bytes) <= queue.max_unread
        });
        if !fits {
            let message = "The stream is sent faster than it is read.";
            self.fail(Error::new(Code::PayloadTooLarge).message(message));
            return Err(Overrun);
        }
        self.change(|queue| {
            queue.unread = queue.unread.saturating_add(bytes);
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
            Some(Unread { item, bytes }) => {
                queue.unread = queue.unread.saturating_sub(bytes);
                Poll::Ready(Some(item.and_then(|value| from_value(value).map_err(Error::from))))
            }
            None if queue.has_ended => Poll::Ready(None),
            None => {
                queue.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{FutureExt, StreamExt};

    fn read<T: DeserializeOwned>(upload: &mut Upload<T>) -> Option<Option<Result<T, String>>> {
        let next = upload.next().now_or_never();
        next.map(|item| item.map(|item| item.map_err(|error| error.code().to_owned())))
    }

    #[test]
    fn items_are_read_in_order_until_the_end() {
        let (sender, upload) = Upload::channel(1_000);
        let mut upload = upload.typed::<u8>();
        assert_eq!(read(&mut upload), None);
        sender.send(1.into(), 1).unwrap();
        sender.send("no number".into(), 1).unwrap();
        sender.send(2.into(), 1).unwrap();
        sender.end();
        assert_eq!(read(&mut upload), Some(Some(Ok(1))));
        assert_eq!(read(&mut upload), Some(Some(Err("BAD_REQUEST".into()))));
        assert_eq!(read(&mut upload), Some(Some(Ok(2))));
        assert_eq!(read(&mut upload), Some(None));
    }

    #[test]
    fn what_is_not_read_is_bounded() {
        let (sender, mut upload) = Upload::channel(300);
        for _ in 0..5 {
            sender.send(1.into(), 200).unwrap();
            assert_eq!(read(&mut upload), Some(Some(Ok(1.into()))));
        }
        // One item always fits: its frame did.
        sender.send(1.into(), 1_000).unwrap();
        assert!(sender.send(2.into(), 1).is_err());
        assert_eq!(read(&mut upload), Some(Some(Ok(1.into()))));
        assert_eq!(read(&mut upload), Some(Some(Err("PAYLOAD_TOO_LARGE".into()))));
        assert_eq!(read(&mut upload), Some(None));
    }

    #[test]
    fn very_many_small_items_are_bounded_too() {
        let (sender, _upload) = Upload::channel(1_000);
        assert_eq!((0..1_000).take_while(|_| sender.send(Value::Null, 0).is_ok()).count(), 15);
    }
}
