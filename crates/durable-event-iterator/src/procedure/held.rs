//! The memory of running calls.

use std::{cell::Cell, rc::Rc};

/// The memory of one call in bytes. It is also counted in the total of all calls of the Durable Object, until it is dropped.
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
