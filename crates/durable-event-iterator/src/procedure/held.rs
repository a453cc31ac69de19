//! How much memory the inputs of running calls take.

use std::{cell::Cell, rc::Rc};

/// What one call holds of the memory that all calls of a Durable Object may take together, in bytes.
pub(crate) struct Held {
    own: Cell<usize>,
    total: Rc<Cell<usize>>,
}

impl Held {
    pub(crate) fn new(total: &Rc<Cell<usize>>) -> Rc<Self> {
        Rc::new(Self { own: Cell::new(0), total: Rc::clone(total) })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.own.get()
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.own.set(self.own.get().saturating_add(bytes));
        self.total.set(self.total.get().saturating_add(bytes));
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.own.set(self.own.get().saturating_sub(bytes));
        self.total.set(self.total.get().saturating_sub(bytes));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release(self.own.get());
    }
}
