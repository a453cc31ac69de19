//! The driver that runs a Durable Object in place of the Workers runtime.

use durable_event_iterator::{
    DurableEventIteratorObject, Result, SigningKeys,
    native::{Instance, ObjectState},
};
use std::cell::{Ref, RefCell};

/// Number of turns of the event loop after which work is considered endless.
const MAX_TURNS: usize = 1_000;

/// The state of a Durable Object, and its instance while it is awake.
pub(crate) struct Driver<O: DurableEventIteratorObject> {
    /// `None` while the Durable Object hibernates. Declared first, so that it is dropped first: its tasks may use the state.
    pub(crate) instance: RefCell<Option<Instance<O>>>,
    pub(crate) state: ObjectState,
    pub(crate) keys: SigningKeys,
}

impl<O: DurableEventIteratorObject> Driver<O> {
    /// Returns the instance, and constructs it if there is none.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub(crate) fn instance(&self) -> Ref<'_, Instance<O>> {
        if self.instance.borrow().is_none() {
            let made: Result<_> = Instance::new(&self.state, &self.keys);
            let made =
                made.unwrap_or_else(|error| panic!("the Durable Object cannot be constructed: {error}"));
            self.instance.replace(Some(made));
        }
        Ref::filter_map(self.instance.borrow(), Option::as_ref)
            .unwrap_or_else(|_| panic!("the instance exists"))
    }

    /// Implements `TestObject::run_until_idle`.
    pub(crate) fn run_until_idle(&self) -> bool {
        for _ in 0..MAX_TURNS {
            let has_more = self.state.run_turn();
            let closing = self.state.next_closing();
            if let Some(socket) = &closing {
                let code = socket.close_frame().map(|frame| frame.code);
                self.instance().close(socket, code);
            } else if !has_more {
                return true;
            }
        }
        false
    }
}
