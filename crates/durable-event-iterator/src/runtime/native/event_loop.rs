//! Tasks and timers.

use super::{Context, object_state::current};
use crate::runtime::JsError;
use futures_util::{FutureExt, future::LocalBoxFuture};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::{Future, poll_fn},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{self, Poll, Wake, Waker},
};

/// The tasks and timers of a Durable Object.
#[derive(Default)]
pub(super) struct EventLoop {
    tasks: RefCell<Vec<Task>>,
    /// By their time, in milliseconds since 1970, and their order of creation.
    timers: RefCell<BTreeMap<(u64, u64), Rc<Timer>>>,
    next: Cell<u64>,
}

struct Task {
    future: LocalBoxFuture<'static, ()>,
    ready: Arc<Ready>,
}

/// Whether a task can continue.
struct Ready(AtomicBool);

impl Wake for Ready {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Timer {
    has_fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Task {
    /// Polls the task if it can continue. Returns whether it was polled, and the result.
    fn go_on(&mut self) -> (bool, Poll<()>) {
        if !self.ready.0.swap(false, Ordering::Relaxed) {
            return (false, Poll::Pending);
        }
        let waker = Waker::from(Arc::clone(&self.ready));
        (true, self.future.as_mut().poll(&mut task::Context::from_waker(&waker)))
    }
}

impl EventLoop {
    /// Polls a future once. If it is not complete, it continues as a task.
    pub(super) fn start(&self, future: impl Future<Output = ()> + 'static) {
        let ready = Arc::new(Ready(AtomicBool::new(true)));
        let mut task = Task { future: future.boxed_local(), ready };
        if task.go_on().1.is_pending() {
            self.tasks.borrow_mut().push(task);
        }
    }

    /// Runs a future as a task.
    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let ready = Arc::new(Ready(AtomicBool::new(true)));
        self.tasks.borrow_mut().push(Task { future: future.boxed_local(), ready });
    }

    /// Runs the tasks until none can continue.
    pub(super) fn run_tasks(&self) {
        let mut has_run = true;
        while has_run {
            has_run = false;
            // A task may start others.
            let mut tasks = self.tasks.take();
            tasks.retain_mut(|task| {
                let (tried, result) = task.go_on();
                has_run |= tried;
                result.is_pending()
            });
            let started = self.tasks.replace(tasks);
            has_run |= !started.is_empty();
            self.tasks.borrow_mut().extend(started);
        }
    }

    /// Fires the due timers. Returns whether there were any.
    pub(super) fn fire_timers(&self, now_ms: u64) -> bool {
        let mut timers = self.timers.borrow_mut();
        let later = timers.split_off(&(now_ms.saturating_add(1), 0));
        let due = std::mem::replace(&mut *timers, later);
        drop(timers);
        for timer in due.values() {
            timer.has_fired.set(true);
            if let Some(waker) = timer.waker.take() {
                waker.wake();
            }
        }
        !due.is_empty()
    }

    /// Returns the time of the next timer, in milliseconds since 1970.
    pub(super) fn next_timer(&self) -> Option<u64> {
        self.timers.borrow().keys().next().map(|(at_ms, _)| *at_ms)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.tasks.borrow().is_empty()
    }

    /// Drops all tasks and timers.
    pub(super) fn clear(&self) {
        // Taken first, since dropping a task may start another one.
        drop(self.tasks.take());
        drop(self.timers.take());
    }

    fn timer(&self, at_ms: u64) -> Rc<Timer> {
        let number = self.next.get();
        self.next.set(number.wrapping_add(1));
        let timer = Rc::<Timer>::default();
        self.timers.borrow_mut().insert((at_ms, number), Rc::clone(&timer));
        timer
    }
}

/// Yields until the next turn of the event loop.
pub(crate) async fn next_turn() -> Result<(), JsError> {
    pause(0).await
}

/// Waits until the clock has been advanced by this many milliseconds.
pub(crate) async fn pause(milliseconds: u64) -> Result<(), JsError> {
    let timer = with_state(|state| state.event_loop().timer(state.now_ms().saturating_add(milliseconds)))?;
    poll_fn(|context| {
        if timer.has_fired.get() {
            return Poll::Ready(());
        }
        timer.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    })
    .await;
    Ok(())
}

/// Runs a future in the background.
pub(crate) fn spawn(future: impl Future<Output = ()> + 'static) {
    // Outside of a Durable Object there is no event loop to run it, and the future is dropped.
    let _ = with_state(|state| state.event_loop().spawn(future));
}

fn with_state<R>(work: impl FnOnce(&Context) -> R) -> Result<R, JsError> {
    let state = current().ok_or_else(|| {
        JsError::new("no Durable Object has been entered on this thread: call `ObjectState::enter` first")
    })?;
    Ok(work(&state))
}
