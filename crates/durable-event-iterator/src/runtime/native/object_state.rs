//! The state of a Durable Object that outlives its instances.

use super::{event_loop::EventLoop, socket::RawSocket, storage::ObjectDatabase};
use crate::runtime::StorageEvent;
use durable_event_log::DatabaseError;
use std::{
    cell::{Cell, RefCell},
    fmt,
    future::Future,
    marker::PhantomData,
    rc::{Rc, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

/// The state of a Durable Object that outlives its instances: name, storage, alarm, sockets, clock and event loop.
///
/// A clone is another handle of the same state. Nothing happens by itself: the clock advances in
/// [`set_now_ms`](Self::set_now_ms), tasks run in [`run_turn`](Self::run_turn), and the test kit delivers the
/// [alarm](Self::alarm_ms) and the [close frames](Self::next_closing) that clients send in return.
#[derive(Clone)]
pub struct ObjectState(Rc<Inner>);

struct Inner {
    name: String,
    database: Box<dyn ObjectDatabase>,
    now_ms: Cell<u64>,
    alarm_ms: Cell<Option<u64>>,
    sockets: RefCell<Vec<RawSocket>>,
    last_socket: Cell<u32>,
    event_loop: EventLoop,
    listener: RefCell<Option<Rc<Listener>>>,
    log: RefCell<Vec<String>>,
    data_points: RefCell<Vec<String>>,
}

/// Receives the events of the storage. For [`StorageEvent::Begun`] it returns the level's number.
pub(super) type Listener = dyn Fn(StorageEvent) -> u32;

thread_local! {
    /// The states of the Durable Objects whose code is running, the innermost last.
    static ENTERED: RefCell<Vec<ObjectState>> = const { RefCell::new(Vec::new()) };
    /// The state of the Durable Object whose code ran last.
    static LAST: RefCell<Weak<Inner>> = const { RefCell::new(Weak::new()) };
}

impl fmt::Debug for ObjectState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectState").field("name", &self.0.name).finish_non_exhaustive()
    }
}

impl ObjectState {
    /// Creates the state of a new Durable Object.
    ///
    /// An empty name stands for a Durable Object whose id has no name. `now_ms` is the time of its clock, in milliseconds since
    /// 1970.
    #[must_use]
    pub fn new(name: impl Into<String>, database: Box<dyn ObjectDatabase>, now_ms: u64) -> Self {
        Self(Rc::new(Inner {
            name: name.into(),
            database,
            now_ms: Cell::new(now_ms),
            alarm_ms: Cell::new(None),
            sockets: RefCell::default(),
            last_socket: Cell::new(0),
            event_loop: EventLoop::default(),
            listener: RefCell::default(),
            log: RefCell::default(),
            data_points: RefCell::default(),
        }))
    }

    /// Returns the name of the Durable Object, which is the channel name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the SQLite database.
    #[must_use]
    pub fn database(&self) -> &dyn ObjectDatabase {
        &*self.0.database
    }

    /// Returns the time of the clock, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.0.now_ms.get()
    }

    /// Sets the clock. Due timers fire in the next [turn](Self::run_turn).
    pub fn set_now_ms(&self, now_ms: u64) {
        self.0.now_ms.set(now_ms);
    }

    /// Returns the time of the alarm, in milliseconds since 1970, or `None` if it is not set.
    #[must_use]
    pub fn alarm_ms(&self) -> Option<u64> {
        self.0.alarm_ms.get()
    }

    /// Sets the alarm, or deletes it with `None`. Delete it before running the alarm, as the Workers runtime does.
    pub fn set_alarm_ms(&self, at_ms: Option<u64>) {
        self.0.alarm_ms.set(at_ms);
    }

    /// Returns the sockets that are not closed on both sides, in the order in which they were opened.
    #[must_use]
    pub fn sockets(&self) -> Vec<RawSocket> {
        self.0.sockets.borrow().clone()
    }

    pub(super) fn with_sockets<R>(&self, work: impl FnOnce(&mut Vec<RawSocket>) -> R) -> R {
        work(&mut self.0.sockets.borrow_mut())
    }

    /// Returns the first socket that the Durable Object has closed and whose client has not sent a close frame in return.
    #[must_use]
    pub fn next_closing(&self) -> Option<RawSocket> {
        self.0.sockets.borrow().iter().find(|socket| !socket.is_open()).cloned()
    }

    pub(crate) fn remove_socket(&self, socket: &RawSocket) {
        self.with_sockets(|sockets| sockets.retain(|other| other != socket));
    }

    pub(super) fn next_socket_id(&self) -> u32 {
        let id = self.0.last_socket.get().wrapping_add(1).max(1);
        self.0.last_socket.set(id);
        id
    }

    /// Returns the lines that the library has logged, and clears them.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        self.0.log.take()
    }

    /// Returns the data points that the library has written for [metrics](crate::Options::metrics), as JSON, and clears them.
    #[must_use]
    pub fn take_data_points(&self) -> Vec<String> {
        self.0.data_points.take()
    }

    pub(super) fn add_data_point(&self, point: String) {
        self.0.data_points.borrow_mut().push(point);
    }

    pub(super) fn event_loop(&self) -> &EventLoop {
        &self.0.event_loop
    }

    /// Polls a future once. If it is not complete, it continues in the following turns.
    pub fn start(&self, future: impl Future<Output = ()> + 'static) {
        let _entered = self.enter();
        self.0.event_loop.start(future);
    }

    /// Runs all tasks that can continue, then fires the due timers and runs tasks again. Returns whether a timer fired, in which case
    /// another turn is needed.
    pub fn run_turn(&self) -> bool {
        let _entered = self.enter();
        self.0.event_loop.run_tasks();
        let has_fired = self.0.event_loop.fire_timers(self.now_ms());
        if has_fired {
            self.0.event_loop.run_tasks();
        }
        has_fired
    }

    /// Returns the time of the next timer, in milliseconds since 1970.
    #[must_use]
    pub fn next_timer_ms(&self) -> Option<u64> {
        self.0.event_loop.next_timer()
    }

    /// Returns whether no task is running, so that the Durable Object may hibernate.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.0.event_loop.is_idle()
    }

    /// Deletes the storage and the alarm, like `storage().delete_all()` of the application.
    ///
    /// # Errors
    /// The database fails.
    pub fn delete_all(&self) -> Result<(), DatabaseError> {
        let _entered = self.enter();
        self.tell(StorageEvent::Deleting);
        let deleted = super::storage::delete_everything(self);
        self.tell(StorageEvent::Deleted);
        deleted
    }

    pub(super) fn listen(&self, listener: Rc<Listener>) {
        self.0.listener.replace(Some(listener));
    }

    pub(super) fn tell(&self, event: StorageEvent) -> u32 {
        let listener = self.0.listener.borrow().clone();
        listener.map_or(0, |listener| listener(event))
    }

    /// Drops the tasks, timers and listener of an instance that has ended.
    pub(crate) fn instance_ended(&self) {
        let _entered = self.enter();
        self.0.event_loop.clear();
        drop(self.0.listener.take());
    }

    /// Makes the library use the clock, timers and log of this Durable Object on this thread, until the guard is dropped.
    ///
    /// Afterwards the library uses the state that was entered last, for channel handles that are used outside of any state.
    #[must_use = "the state is entered until the guard is dropped"]
    pub fn enter(&self) -> Entered<'_> {
        ENTERED.with_borrow_mut(|entered| entered.push(self.clone()));
        LAST.set(Rc::downgrade(&self.0));
        Entered(self, PhantomData)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A dead `Weak` would keep the memory allocated. While a thread ends, the variable may be gone already.
        let _ = LAST.try_with(|last| {
            if let Ok(mut last) = last.try_borrow_mut()
                && last.strong_count() == 0
            {
                *last = Weak::new();
            }
        });
    }
}

/// The guard of an [entered](ObjectState::enter) state, which leaves it when dropped.
#[derive(Debug)]
pub struct Entered<'a>(&'a ObjectState, PhantomData<*const ()>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // While a thread ends, the variable may be gone already.
        let _ = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let place = entered.iter().rposition(|state| Rc::ptr_eq(&state.0, &self.0.0));
            let state = place.map(|place| entered.remove(place));
            if entered.is_empty() {
                entered.shrink_to_fit(); // so that tests that measure memory find none
            }
            state
        });
    }
}

/// Returns the state of the Durable Object whose code is running, or otherwise ran last.
pub(super) fn current() -> Option<ObjectState> {
    let entered = ENTERED.with_borrow(|entered| entered.last().cloned());
    entered.or_else(|| LAST.with_borrow(Weak::upgrade).map(ObjectState))
}

/// Returns the time in milliseconds since 1970, from the clock of the current Durable Object, or otherwise of the system.
pub(crate) fn now_ms() -> u64 {
    current().map_or_else(
        || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
        },
        |state| state.now_ms(),
    )
}

/// Writes a warning to the log. The line must not contain a token, a key or an attachment.
pub(crate) fn log_warning(line: &str) {
    log_error(line);
}

/// Writes an error to the log. The line must not contain a token, a key or an attachment.
pub(crate) fn log_error(line: &str) {
    match current() {
        Some(state) => state.0.log.borrow_mut().push(line.to_owned()),
        None => eprintln!("durable-event-iterator: {line}"),
    }
}
