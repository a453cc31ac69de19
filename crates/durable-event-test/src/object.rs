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

/// The default name.
const NAME: &str = "test";

/// The default start time of the clock: 2026-01-01T00:00:00Z.
const BEGIN: Duration = Duration::from_secs(1_767_225_600);

/// The default signing key.
const SIGNING_KEY: &str = "the signing key of a test";

/// The delay after which the Workers runtime retries a failed alarm.
const ALARM_RETRY: Duration = Duration::from_secs(2);

/// A Durable Object in memory, with a clock that the test advances. `O` is the application's type.
///
/// Each function runs all work that need not wait for the clock before it returns ([`run_until_idle`](Self::run_until_idle)), so
/// its effects are visible afterwards.
///
/// Functions panic if the test is wrong, or if the Durable Object cannot be constructed.
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
    /// Sets the name of the Durable Object, which is the channel name. Default: `test`.
    ///
    /// An empty name stands for a Durable Object whose id has no name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the start time of the clock, with millisecond precision. Default: 2026-01-01T00:00:00Z.
    pub fn now(mut self, now: SystemTime) -> Self {
        self.begin_ms = millis(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        self
    }

    /// Sets the keys that sign and verify tokens. Default: a key of the test kit.
    ///
    /// If the [`Options`](durable_event_iterator::Options::signing_keys) of the Durable Object contain keys, set the same keys here,
    /// since the test kit signs tokens with them.
    pub fn signing_keys(mut self, keys: SigningKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Constructs the Durable Object.
    ///
    /// # Errors
    /// An option is invalid, or the application's `new` fails.
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
    /// The Durable Object cannot be constructed.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn new() -> Self {
        Self::builder()
            .build()
            .unwrap_or_else(|error| panic!("the Durable Object cannot be constructed: {error}"))
    }

    /// Returns a builder, which sets another name, time or key.
    pub fn builder() -> TestObjectBuilder<O> {
        TestObjectBuilder { name: NAME.to_owned(), begin_ms: millis(BEGIN), keys: None, object: PhantomData }
    }

    /// Returns the application's Durable Object, and constructs it after hibernation.
    ///
    /// Use it in one expression, such as `room.object().rename("Lobby")`: the Durable Object can neither hibernate nor be evicted
    /// while the reference exists.
    ///
    /// # Panics
    /// The Durable Object cannot be constructed.
    #[must_use]
    pub fn object(&self) -> ObjectRef<'_, O> {
        ObjectRef { instance: self.driver.instance(), _entered: self.driver.state.enter() }
    }

    /// Returns a handle of the channel, which belongs to the current instance.
    ///
    /// # Panics
    /// The Durable Object cannot be constructed.
    #[must_use]
    pub fn channel(&self) -> O::Channel {
        self.driver.instance().channel()
    }

    /// Returns the name, which is the channel name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.driver.state.name()
    }

    /// Returns the keys that sign and verify tokens.
    #[must_use]
    pub fn signing_keys(&self) -> &SigningKeys {
        &self.driver.keys
    }

    /// Signs a token that is issued now.
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

    /// Connects a client with a token that is issued now. Like oRPC's `DurableEventIterator` clients it has no connection id.
    ///
    /// # Errors
    /// The upgrade request is rejected: the error contains the status and the body of the response.
    ///
    /// # Panics
    /// The token is invalid.
    #[track_caller]
    pub fn connect(&self, token: TokenBuilder) -> Result<TestSocket<O>, Rejected> {
        let token = self.sign(token);
        self.connect_with(&format!("token={}", encode(&token)))
    }

    /// Connects a client with a connection id, which `DurableIterator` clients keep when they reconnect.
    ///
    /// # Errors
    /// Returns the same errors as [`connect`](Self::connect).
    ///
    /// # Panics
    /// The token is invalid.
    #[track_caller]
    pub fn connect_as(&self, token: TokenBuilder, connection_id: &str) -> Result<TestSocket<O>, Rejected> {
        let token = self.sign(token);
        self.connect_with(&format!("token={}&id={}", encode(&token), encode(connection_id)))
    }

    /// Connects a client with the percent-encoded query of an upgrade request, such as `token=…&id=…`.
    ///
    /// # Errors
    /// Returns the same errors as [`connect`](Self::connect).
    pub fn connect_with(&self, query: &str) -> Result<TestSocket<O>, Rejected> {
        self.request(Some("websocket"), query)
    }

    /// Sends a request with any `Upgrade` header and query.
    ///
    /// # Errors
    /// Returns the same errors as [`connect`](Self::connect).
    pub fn request(&self, upgrade: Option<&str>, query: &str) -> Result<TestSocket<O>, Rejected> {
        let raw = self.driver.instance().upgrade(upgrade, &format!("https://test/?{query}"));
        self.run_until_idle();
        Ok(TestSocket::new(Rc::clone(&self.driver), raw?))
    }

    /// Publishes an event to everyone, as another Worker does with
    /// [`ChannelStub::publish`](durable_event_iterator::ChannelStub::publish). Returns the event id.
    ///
    /// # Errors
    /// Returns the error that the caller of the stub receives.
    pub fn publish<E: Serialize + ?Sized>(&self, event: &E) -> Result<EventId> {
        self.publish_with(event, PublishOptions::new()).map(|published| published.id)
    }

    /// Publishes an event with options or to an audience, as another Worker does with
    /// [`ChannelStub::publish_with`](durable_event_iterator::ChannelStub::publish_with).
    ///
    /// # Errors
    /// Returns the same errors as [`publish`](Self::publish).
    pub fn publish_with<E: Serialize + ?Sized>(
        &self,
        event: &E,
        options: impl Into<PublishOptions>,
    ) -> Result<Published> {
        let published = self.driver.instance().publish_with(event, &options.into());
        self.run_until_idle();
        published
    }

    /// Publishes events in order, each with options or an audience, all or none, as another Worker does with
    /// [`ChannelStub::publish_batch_with`](durable_event_iterator::ChannelStub::publish_batch_with).
    ///
    /// # Errors
    /// Returns the error that the caller of the stub receives.
    pub fn publish_batch_with<'e, E: Serialize + ?Sized + 'e, P: Into<PublishOptions>>(
        &self,
        events: impl IntoIterator<Item = (&'e E, P)>,
    ) -> Result<Vec<Published>> {
        let events = events.into_iter().map(|(event, options)| (event, options.into()));
        let published = self.driver.instance().publish_batch_with(events);
        self.run_until_idle();
        published
    }

    /// Publishes events as a JavaScript Worker does with `stub.publishBatch(events, options)`, with arguments of any shape.
    ///
    /// # Errors
    /// Returns the same errors as [`publish_batch_with`](Self::publish_batch_with).
    pub fn publish_batch_value(&self, events: &Value, options: Option<&Value>) -> Result<Vec<Published>> {
        let published = self.driver.instance().publish_batch(events, options);
        self.run_until_idle();
        published
    }

    /// Publishes an event as a JavaScript Worker does with `stub.publish(event, options)`, with options of any shape.
    ///
    /// # Errors
    /// Returns the same errors as [`publish`](Self::publish).
    pub fn publish_value(&self, event: &Value, options: Option<&Value>) -> Result<Published> {
        let published = self.driver.instance().publish(event, options);
        self.run_until_idle();
        published
    }

    /// Publishes as oRPC's publisher does, to a Durable Object with
    /// [`Options::publisher`](durable_event_iterator::Options::publisher). `body` is the body of its request.
    ///
    /// # Errors
    /// Returns the error that the publisher receives.
    pub fn publisher_publish(&self, body: &str) -> Result<()> {
        let published = self.driver.instance().publisher_publish(body.as_bytes());
        self.run_until_idle();
        published
    }

    /// Subscribes as oRPC's publisher does, to a Durable Object with
    /// [`Options::publisher`](durable_event_iterator::Options::publisher). Returns the socket, whose
    /// [messages](TestSocket::messages) the publisher receives, and the id of the first event after a gap.
    ///
    /// # Errors
    /// Returns the response to a rejected request.
    pub fn publisher_subscribe(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<(TestSocket<O>, Option<EventId>), Rejected> {
        let opened = self.driver.instance().publisher_subscribe(last_event_id);
        self.run_until_idle();
        let (raw, gap) = opened?;
        Ok((TestSocket::new(Rc::clone(&self.driver), raw), gap))
    }

    /// Calls an RPC method, as another Worker does. `arguments` is a tuple: `("Lobby",)` for one argument, `()` for none.
    ///
    /// # Errors
    /// The method fails, or its result does not deserialize to `R`.
    ///
    /// # Panics
    /// `arguments` is not a tuple, or the method does not complete without an advance of the clock.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn rpc<A: Serialize, R: DeserializeOwned>(&self, method: &str, arguments: A) -> Result<R> {
        let arguments = match to_value(&arguments)? {
            Value::Array(arguments) => Value::Array(arguments),
            Value::Undefined | Value::Null => Value::Array(Vec::new()), // the unit type
            other => panic!("the arguments of `{method}` must be a tuple, such as `(name,)`, got {other:?}"),
        };
        let output = self.run(|instance, done| instance.call(method, arguments, done));
        let output = output.unwrap_or_else(|| {
            panic!("`{method}` has not completed: it waits for the clock, or for another call")
        });
        Ok(from_value(output?)?)
    }

    /// Starts work of the instance. Returns its result if it has completed.
    fn run<R: 'static>(&self, start: impl FnOnce(&Instance<O>, Box<dyn FnOnce(R)>)) -> Option<R> {
        let result = Rc::new(RefCell::new(None));
        let slot = Rc::clone(&result);
        start(&self.driver.instance(), Box::new(move |value| drop(slot.replace(Some(value)))));
        self.run_until_idle();
        result.take()
    }

    /// Returns the time of the clock.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        time(self.driver.state.now_ms())
    }

    /// Advances the clock, with millisecond precision. Timers and the alarm fire at their times on the way. A failed alarm is
    /// retried two seconds later.
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
                break; // the work is endless
            }
        }
        state.set_now_ms(end_ms);
        self.run_until_idle();
    }

    /// Runs all work that need not wait for the clock: messages, calls and streams continue, and clients respond to close frames.
    ///
    /// Returns false if the work does not end within 1,000 turns of the event loop, such as an endless stream that never waits.
    pub fn run_until_idle(&self) -> bool {
        self.driver.run_until_idle()
    }

    /// Runs one turn of the event loop. Returns whether another turn has work to do without advancing the clock.
    pub fn run_turn(&self) -> bool {
        self.driver.state.run_turn()
    }

    /// Hibernates: drops the instance. The next message or call constructs another one. Sockets, their attachments and the storage
    /// remain.
    ///
    /// Returns false, and does not drop the instance, while work is running, such as a call that waits: the Workers runtime would
    /// not hibernate the Durable Object either.
    ///
    /// # Panics
    /// A reference returned by [`object`](Self::object) exists.
    #[must_use = "a Durable Object that is busy does not hibernate"]
    pub fn hibernate(&self) -> bool {
        self.run_until_idle();
        let is_idle = self.driver.state.is_idle();
        if is_idle {
            self.evict();
        }
        is_idle
    }

    /// Drops the instance and its running work, as a deployment or a crash does. Sockets, their attachments and the storage remain.
    ///
    /// # Panics
    /// A reference returned by [`object`](Self::object) exists.
    pub fn evict(&self) {
        drop(self.driver.instance.take());
    }

    /// Returns whether there is an instance, so that the Durable Object is not hibernating.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.driver.instance.borrow().is_some()
    }

    /// Returns the time of the alarm, or `None` if it is not set.
    #[must_use]
    pub fn alarm(&self) -> Option<SystemTime> {
        self.driver.state.alarm_ms().map(time)
    }

    /// Sets the alarm, or deletes it with `None`. It replaces the application's `storage().set_alarm`, which is not available
    /// natively.
    pub fn set_alarm(&self, at: Option<SystemTime>) {
        let at_ms = at.map(|at| millis(at.duration_since(UNIX_EPOCH).unwrap_or_default()));
        self.driver.state.set_alarm_ms(at_ms);
    }

    /// Runs the alarm now, even if it is not set.
    ///
    /// # Errors
    /// The alarm fails.
    ///
    /// # Panics
    /// The alarm does not complete without an advance of the clock.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn run_alarm(&self) -> Result<()> {
        self.driver.state.set_alarm_ms(None);
        let result = self.run(|instance, done| instance.alarm(done));
        result.unwrap_or_else(|| {
            panic!("the alarm has not completed: it waits for the clock, or for another call")
        })
    }

    /// Deletes the storage and the alarm. It replaces the application's `storage().delete_all`, which is not available natively.
    ///
    /// # Errors
    /// SQLite fails.
    pub fn delete_all(&self) -> Result<(), DatabaseError> {
        drop(self.object()); // constructs the instance, whose channel must be notified
        self.driver.state.delete_all()
    }

    /// Returns the data points that the library has written since the last call, as JSON: see
    /// [`Options::metrics`](durable_event_iterator::Options::metrics).
    #[must_use]
    pub fn take_data_points(&self) -> Vec<String> {
        self.driver.state.take_data_points()
    }

    /// Returns the lines that the library has logged since the last call.
    #[must_use]
    pub fn take_log(&self) -> Vec<String> {
        self.driver.state.take_log()
    }
}

/// A reference to the application's Durable Object, returned by [`TestObject::object`].
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

/// Converts milliseconds since 1970 to a time. A time that `SystemTime` cannot represent becomes 1970.
fn time(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

/// Percent-encodes the value of a query parameter.
fn encode(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}
