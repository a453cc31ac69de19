//! A Durable Object in memory.

use crate::{driver::Driver, socket::TestSocket, sqlite::LazySqlite};
use durable_event_iterator::{
    DurableEventIteratorObject, EventId, PublishOptions, Published, Result, SigningKeys, TokenBuilder, Value,
    from_value,
    native::{DatabaseError, Entered, Instance, ObjectState, Rejected},
    to_value,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::{Ref, RefCell},
    fmt,
    marker::PhantomData,
    ops::Deref,
    rc::Rc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The name, where no other one is set.
const NAME: &str = "test";

/// The time at which the clock begins, where no other one is set: 2026-01-01T00:00:00Z.
const BEGIN: Duration = Duration::from_secs(1_767_225_600);

/// The signing key, where no other one is set.
const SIGNING_KEY: &str = "the signing key of a test";

/// How long the Workers runtime waits before it repeats an alarm that has failed.
const ALARM_RETRY: Duration = Duration::from_secs(2);

/// A Durable Object in memory, with a clock that the test moves. `O` is the application's object.
///
/// Every function first does what it is for and then runs everything that need not wait for the clock
/// ([`run_until_idle`](Self::run_until_idle)), so that its effects are there when it returns.
///
/// A function that panics does so because the test is wrong, or the object cannot be constructed.
pub struct TestObject<O: DurableEventIteratorObject> {
    driver: Rc<Driver<O>>,
}

impl<O: DurableEventIteratorObject> fmt::Debug for TestObject<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestObject").field("name", &self.driver.state.name()).finish_non_exhaustive()
    }
}

impl<O: DurableEventIteratorObject> Default for TestObject<O> {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds a [`TestObject`].
#[must_use = "nothing is constructed before `build`"]
pub struct TestObjectBuilder<O> {
    name: String,
    begin_ms: u64,
    keys: Option<SigningKeys>,
    object: PhantomData<fn() -> O>,
}

impl<O> fmt::Debug for TestObjectBuilder<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestObjectBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<O: DurableEventIteratorObject> TestObjectBuilder<O> {
    /// The name of the Durable Object, which is that of its channel. Default: `test`. With an empty name it is one that was
    /// reached by an id without a name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The time at which the clock begins, to the millisecond. Default: 2026-01-01T00:00:00Z.
    pub fn now(mut self, now: SystemTime) -> Self {
        self.begin_ms = millis(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        self
    }

    /// The keys that sign and verify tokens. Default: a key of the kit's. Keys in the object's
    /// [`Options`](durable_event_iterator::Options::signing_keys) have to be given here too, as tokens are signed with these.
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Constructs the Durable Object.
    ///
    /// # Errors
    /// The object cannot be constructed.
    pub fn build(self) -> Result<TestObject<O>> {
        let Self { name, begin_ms, keys, object: _ } = self;
        let keys = match keys {
            Some(keys) => keys,
            None => SigningKeys::parse(SIGNING_KEY, None)?,
        };
        let state = ObjectState::new(name, Box::new(LazySqlite::default()), begin_ms);
        let instance = RefCell::new(Some(Instance::new(&state, &keys)?));
        Ok(TestObject { driver: Rc::new(Driver { instance, state, keys }) })
    }
}

impl<O: DurableEventIteratorObject> TestObject<O> {
    /// Constructs a Durable Object named `test` at 2026-01-01T00:00:00Z.
    ///
    /// # Panics
    /// The object cannot be constructed.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn new() -> Self {
        Self::builder().build().unwrap_or_else(|error| panic!("the object cannot be constructed: {error}"))
    }

    /// Builds a Durable Object with another name, time or key.
    pub fn builder() -> TestObjectBuilder<O> {
        TestObjectBuilder { name: NAME.to_owned(), begin_ms: millis(BEGIN), keys: None, object: PhantomData }
    }

    /// The application's object, which is constructed anew after hibernation.
    ///
    /// Use it in one expression, as in `room.object().rename("Lobby")`: while the reference is kept, the Durable Object can
    /// neither hibernate nor be evicted.
    ///
    /// # Panics
    /// The object cannot be constructed.
    #[must_use]
    pub fn object(&self) -> ObjectRef<'_, O> {
        ObjectRef { instance: self.driver.instance(), _entered: self.driver.state.enter() }
    }

    /// A handle of the channel. It belongs to the instance that is awake now.
    ///
    /// # Panics
    /// The object cannot be constructed.
    #[must_use]
    pub fn channel(&self) -> O::Channel {
        self.driver.instance().channel()
    }

    /// The name, which is that of the channel.
    #[must_use]
    pub fn name(&self) -> &str {
        self.driver.state.name()
    }

    /// The keys that sign and verify tokens.
    #[must_use]
    pub fn signing_keys(&self) -> &SigningKeys {
        &self.driver.keys
    }

    /// Signs a token, issued now.
    ///
    /// # Panics
    /// The token is invalid.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn sign(&self, token: TokenBuilder) -> String {
        let since = Duration::from_millis(self.driver.state.now_ms());
        let now = UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH);
        let token = token.sign(&self.driver.keys, now);
        token.unwrap_or_else(|error| panic!("the token cannot be signed: {error}"))
    }

    /// Connects a client with a token, which is issued now. It has no connection id, as a `DurableEventIterator` client.
    ///
    /// # Errors
    /// The upgrade request was rejected: status and text.
    ///
    /// # Panics
    /// The token is invalid.
    #[track_caller]
    pub fn connect(&self, token: TokenBuilder) -> Result<TestSocket<O>, Rejected> {
        let token = self.sign(token);
        self.connect_with(&format!("token={}", encode(&token)))
    }

    /// Connects a client with a connection id, which a `DurableIterator` client keeps when it reconnects.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Panics
    /// The token is invalid.
    #[track_caller]
    pub fn connect_as(&self, token: TokenBuilder, connection_id: &str) -> Result<TestSocket<O>, Rejected> {
        let token = self.sign(token);
        self.connect_with(&format!("token={}&id={}", encode(&token), encode(connection_id)))
    }

    /// Connects with the query of an upgrade request, such as `token=…&id=…`, percent-encoded.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_with(&self, query: &str) -> Result<TestSocket<O>, Rejected> {
        self.request(Some("websocket"), query)
    }

    /// Sends a request with this header `Upgrade` and this query.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn request(&self, upgrade: Option<&str>, query: &str) -> Result<TestSocket<O>, Rejected> {
        let raw = self.driver.instance().upgrade(upgrade, &format!("https://test/?{query}"));
        self.run_until_idle();
        Ok(TestSocket::new(Rc::clone(&self.driver), raw?))
    }

    /// Publishes as another Worker does, to everyone: [`ChannelStub::publish`](durable_event_iterator::ChannelStub::publish).
    ///
    /// # Errors
    /// The error that the stub's caller receives.
    pub fn publish<E: Serialize + ?Sized>(&self, event: &E) -> Result<EventId> {
        self.publish_with(event, PublishOptions::new()).map(|published| published.id)
    }

    /// Publishes as another Worker does, with options or to an audience:
    /// [`ChannelStub::publish_with`](durable_event_iterator::ChannelStub::publish_with).
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_with<E: Serialize + ?Sized>(
        &self,
        event: &E,
        options: impl Into<PublishOptions>,
    ) -> Result<Published> {
        let published = self.driver.instance().publish_with(event, &options.into());
        self.run_until_idle();
        published
    }

    /// Publishes as a Worker in JavaScript does, which may pass options of any shape: `stub.publish(event, options)`.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn publish_value(&self, event: &Value, options: Option<&Value>) -> Result<Published> {
        let published = self.driver.instance().publish(event, options);
        self.run_until_idle();
        published
    }

    /// Calls an RPC method as another Worker does. The arguments are a tuple: `("Lobby",)` for one, `()` for none.
    ///
    /// # Errors
    /// The method's error, or that its result is no `R`.
    ///
    /// # Panics
    /// The method waits for something that has not happened.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn rpc<A: Serialize, R: DeserializeOwned>(&self, method: &str, arguments: A) -> Result<R> {
        let arguments = match to_value(&arguments)? {
            Value::Array(arguments) => Value::Array(arguments),
            _ => Value::Array(Vec::new()),
        };
        let output = self.run(|instance, done| instance.call(method, arguments, done));
        let output = output.unwrap_or_else(|| panic!("`{method}` waits for something that has not happened"));
        Ok(from_value(output?)?)
    }

    /// Starts something of the instance, and returns its result if it has ended.
    fn run<R: 'static>(&self, start: impl FnOnce(&Instance<O>, Box<dyn FnOnce(R)>)) -> Option<R> {
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        start(&self.driver.instance(), Box::new(move |value| drop(slot.replace(Some(value)))));
        self.run_until_idle();
        result.take()
    }

    /// The time of the clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        time(self.driver.state.now_ms())
    }

    /// Moves the clock ahead, to the millisecond. Timers and the alarm go off on the way, each at its time. An alarm that
    /// fails is repeated two seconds later.
    pub fn advance(&self, duration: Duration) {
        let state = &self.driver.state;
        let end_ms = state.now_ms().saturating_add(millis(duration));
        loop {
            let next = state.next_timer_ms().into_iter().chain(state.alarm_ms()).min();
            let Some(next) = next.filter(|next| *next <= end_ms) else { break };
            state.set_now_ms(next.max(state.now_ms()));
            if state.alarm_ms().is_some_and(|at| at <= state.now_ms()) && self.run_alarm().is_err() {
                state.set_alarm_ms(Some(state.now_ms().saturating_add(millis(ALARM_RETRY))));
            }
            if !self.run_until_idle() {
                break; // it would never end
            }
        }
        state.set_now_ms(end_ms);
        self.run_until_idle();
    }

    /// Runs everything that need not wait for the clock: messages, calls and streams go on, and closed sockets are
    /// acknowledged by their clients.
    ///
    /// Returns false if there is no end to it, as with a stream of endless items that are ready at once. It stops after 1,000
    /// turns of the event loop then.
    pub fn run_until_idle(&self) -> bool {
        self.driver.run_until_idle()
    }

    /// Runs one turn of the event loop. Returns whether there is another one without the clock.
    pub fn run_turn(&self) -> bool {
        self.driver.state.run_turn()
    }

    /// Hibernates: the instance is dropped, and what comes next constructs another one. Sockets, their attachments and what
    /// is stored stay.
    ///
    /// Returns false, and drops nothing, if something runs, such as a call that waits: the Workers runtime keeps a Durable
    /// Object awake then.
    ///
    /// # Panics
    /// A reference of [`object`](Self::object) is kept.
    #[must_use = "a Durable Object that is busy does not hibernate"]
    pub fn hibernate(&self) -> bool {
        self.run_until_idle();
        let is_idle = self.driver.state.is_idle();
        if is_idle {
            self.evict();
        }
        is_idle
    }

    /// Drops the instance whatever it does, as a deployment or a crash does. What runs is lost; sockets, their attachments and
    /// what is stored stay.
    ///
    /// # Panics
    /// A reference of [`object`](Self::object) is kept.
    pub fn evict(&self) {
        drop(self.driver.instance.take());
    }

    /// Whether there is an instance.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.driver.instance.borrow().is_some()
    }

    /// When the alarm goes off.
    #[must_use]
    pub fn alarm(&self) -> Option<SystemTime> {
        self.driver.state.alarm_ms().map(time)
    }

    /// Sets the alarm or deletes it, in place of the application's `storage().set_alarm`, which is not there natively.
    pub fn set_alarm(&self, at: Option<SystemTime>) {
        let at_ms = at.map(|at| millis(at.duration_since(UNIX_EPOCH).unwrap_or_default()));
        self.driver.state.set_alarm_ms(at_ms);
    }

    /// Lets the alarm go off now, set or not.
    ///
    /// # Errors
    /// The alarm failed.
    ///
    /// # Panics
    /// It waits for something that has not happened.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn run_alarm(&self) -> Result<()> {
        self.driver.state.set_alarm_ms(None);
        let result = self.run(|instance, done| instance.alarm(done));
        result.unwrap_or_else(|| panic!("the alarm waits for something that has not happened"))
    }

    /// Deletes everything that is stored, in place of the application's `storage().delete_all`, which is not there natively.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn delete_all(&self) -> Result<(), DatabaseError> {
        drop(self.object()); // its channel has to know
        self.driver.state.delete_all()
    }

    /// Takes the lines that the library has logged since the last call.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        self.driver.state.take_log()
    }
}

/// A reference to the application's object, see [`TestObject::object`].
pub struct ObjectRef<'a, O: DurableEventIteratorObject> {
    instance: Ref<'a, Instance<O>>,
    _entered: Entered<'a>,
}

impl<O: DurableEventIteratorObject> Deref for ObjectRef<'_, O> {
    type Target = O;

    fn deref(&self) -> &O {
        self.instance.object()
    }
}

impl<O: DurableEventIteratorObject> fmt::Debug for ObjectRef<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ObjectRef(..)")
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A time beyond what the system's clock can hold is the epoch.
fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

/// Percent-encodes a query's value.
fn encode(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}
