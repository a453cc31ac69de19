//! Passes a [`Value`] or a [`Blob`] unchanged through serde's data model, which supports neither.
//!
//! Both ends are in the same call stack. The deserializer stores the value and calls the visitor of our type, which
//! takes it immediately; for the serialization of a blob it is the reverse. With other formats nothing is stored.

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

/// Runs `serialize` and returns its result with the blob that it serialized, if any.
pub(crate) fn capture_blob<T>(serialize: impl FnOnce() -> T) -> (T, Option<Blob>) {
    BLOB_WANTED.set(true);
    let result = serialize();
    BLOB_WANTED.set(false);
    (result, BLOB.with(|slot| slot.try_borrow_mut().ok()?.take()))
}

/// Passes `blob` to this crate's serializer if that is the caller, and returns whether it is.
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
