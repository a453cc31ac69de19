//! Passes a value as it is through serde's data model, which knows neither a [`Value`] nor a [`Blob`].
//!
//! The two ends are in one call: our deserializer lays the value down and calls the visitor of our type, which takes it
//! up at once; for a blob's serialization the other way round. Through any other format nothing lies here.

use std::cell::{Cell, RefCell};

use super::{Blob, Value};

thread_local! {
    static VALUE: RefCell<Option<Value>> = const { RefCell::new(None) };
    static BLOB: RefCell<Option<Blob>> = const { RefCell::new(None) };
    static BLOB_WANTED: Cell<bool> = const { Cell::new(false) };
}

pub(crate) fn put_value(value: Value) {
    VALUE.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = Some(value);
        }
    });
}

pub(crate) fn take_value() -> Option<Value> {
    VALUE.with(|slot| slot.try_borrow_mut().ok()?.take())
}

/// Serializes a blob by `serialize`, and answers the blob itself, if it was one.
pub(crate) fn capture_blob<T>(serialize: impl FnOnce() -> T) -> (T, Option<Blob>) {
    BLOB_WANTED.set(true);
    let result = serialize();
    BLOB_WANTED.set(false);
    (result, BLOB.with(|slot| slot.try_borrow_mut().ok()?.take()))
}

/// Hands `blob` to our serializer, if that is what serializes it. Answers whether it was.
pub(crate) fn offer_blob(blob: &Blob) -> bool {
    let wanted = BLOB_WANTED.take();
    if wanted {
        BLOB.with(|slot| {
            if let Ok(mut slot) = slot.try_borrow_mut() {
                *slot = Some(blob.clone());
            }
        });
    }
    wanted
}
