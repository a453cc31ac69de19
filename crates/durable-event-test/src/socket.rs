//! A client.

use crate::{
    driver::Driver,
    received::{CallError, Content, DELIMITER, Event, Received},
};
use durable_event_iterator::{
    DurableEventIteratorObject, EventId, Value,
    native::{CloseFrame, Message, Socket},
    to_value,
};
use durable_event_wire::serialize;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
};

/// A client of a [`TestObject`](crate::TestObject), which records what it receives.
///
/// Dropping it closes nothing: a client that is gone without a word is one that the Durable Object does not know of.
pub struct TestSocket<O: DurableEventIteratorObject> {
    driver: Rc<Driver<O>>,
    raw: Socket,
    last_call: Cell<u32>,
    subscriptions: RefCell<Vec<String>>,
    decoded: RefCell<Decoded>,
}

/// The messages that were decoded so far, each once.
#[derive(Default)]
struct Decoded {
    messages: usize,
    received: Vec<Received>,
}

impl<O: DurableEventIteratorObject> fmt::Debug for TestSocket<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestSocket").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

/// What keeps a client's wire alive: the runtime responds to it.
const PING: &str = "ping";

impl<O: DurableEventIteratorObject> TestSocket<O> {
    pub(crate) fn new(driver: Rc<Driver<O>>, raw: Socket) -> Self {
        Self {
            driver,
            raw,
            last_call: Cell::new(0),
            subscriptions: RefCell::default(),
            decoded: RefCell::default(),
        }
    }

    /// Sends a text message, of any content. `ping` is responded to with `pong`, which wakes no instance.
    pub fn send_text(&self, text: impl Into<String>) {
        match text.into() {
            text if text == PING => self.raw.respond_to_ping(),
            text => self.send(Message::Text(text)),
        }
    }

    /// Sends a binary message, of any content.
    pub fn send_bytes(&self, bytes: impl Into<Vec<u8>>) {
        self.send(Message::Bytes(bytes.into()));
    }

    fn send(&self, message: Message) {
        if self.is_open() {
            self.driver.instance().message(&self.raw, message);
            self.driver.run_until_idle();
        }
    }

    /// Subscribes without a cursor. Returns the id of the call.
    pub fn subscribe(&self) -> String {
        self.subscribe_with("{}")
    }

    /// Subscribes with the id of the last event that the client has received.
    pub fn subscribe_after(&self, last_event_id: impl fmt::Display) -> String {
        let last_event_id = json(&last_event_id.to_string());
        self.subscribe_with(&format!(r#"{{"last-event-id":{last_event_id}}}"#))
    }

    fn subscribe_with(&self, headers: &str) -> String {
        let id = self.next_call();
        self.subscriptions.borrow_mut().push(id.clone());
        self.send_text(format!(
            r#"{{"i":{},"p":{{"u":"/subscribe","b":{{}},"h":{headers},"m":"GET"}}}}"#,
            json(&id)
        ));
        id
    }

    /// Calls a procedure by its path, such as `["router", "ping"]`, and returns its response.
    ///
    /// # Errors
    /// The error that the client receives.
    ///
    /// # Panics
    /// There is no response (the call waits, or the socket is closed), or it is a stream: for these there is
    /// [`start_call`](Self::start_call). Or the input cannot be serialized.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn call<P: Into<String>, I: Serialize + ?Sized>(
        &self,
        path: impl IntoIterator<Item = P>,
        input: &I,
    ) -> Result<Value, CallError> {
        let id = self.start_call(path, input);
        self.response(&id).unwrap_or_else(|| panic!("the call has no response: {:?}", self.received()))
    }

    /// Starts a call and returns its id, for calls that wait or respond with a stream.
    ///
    /// # Panics
    /// The input cannot be serialized.
    #[track_caller]
    pub fn start_call<P: Into<String>, I: Serialize + ?Sized>(
        &self,
        path: impl IntoIterator<Item = P>,
        input: &I,
    ) -> String {
        #[derive(Serialize)]
        struct Input {
            path: Vec<String>,
            input: Value,
        }
        let path = path.into_iter().map(Into::into).collect();
        self.request("/call", &Input { path, input: value(input) })
    }

    /// Refreshes the token on the open socket, as `DurableIterator` clients do. [`TestObject::sign`](crate::TestObject::sign)
    /// makes a token.
    ///
    /// # Errors
    /// The error that the client receives.
    ///
    /// # Panics
    /// There is no response.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn refresh_token(&self, token: &str) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Input<'a> {
            token: &'a str,
        }
        let id = self.request("/updateToken", &Input { token });
        let response = self.response(&id).map(|response| response.map(drop));
        response.unwrap_or_else(|| panic!("the refresh has no response: {:?}", self.received()))
    }

    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    fn request<I: Serialize>(&self, path: &str, input: &I) -> String {
        let id = self.next_call();
        let (json_id, json_path) = (json(&id), json(path));
        let body = serialize(input).unwrap_or_else(|error| panic!("the input cannot be serialized: {error}"));
        if body.blobs.is_empty() {
            self.send_text(format!(r#"{{"i":{json_id},"p":{{"u":{json_path},"b":{}}}}}"#, body.to_body()));
            return id;
        }
        let form = body.into_http();
        let headers = format!(r#"{{"content-type":{}}}"#, json(&form.content_type));
        let head = format!(r#"{{"i":{json_id},"p":{{"u":{json_path},"h":{headers}}}}}"#);
        self.send_bytes([head.as_bytes(), &[DELIMITER], &form.bytes].concat());
        id
    }

    /// Aborts a call or a subscription.
    pub fn abort(&self, call: &str) {
        self.send_text(format!(r#"{{"i":{},"t":4}}"#, json(call)));
    }

    fn next_call(&self) -> String {
        let number = self.last_call.get().wrapping_add(1);
        self.last_call.set(number);
        number.to_string()
    }

    /// The messages received so far, as they are on the wire.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.raw.sent_after(0)
    }

    /// Takes the messages received since the last call, as they are on the wire. Nothing else returns them afterwards.
    #[must_use]
    pub fn take_messages(&self) -> Vec<Message> {
        self.decoded.take();
        self.raw.take_sent()
    }

    /// The messages received so far, decoded. The response to a ping is not among them.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.find(|received| Some(received.clone()))
    }

    /// What `select` returns of the messages received so far.
    fn find<R>(&self, select: impl FnMut(&Received) -> Option<R>) -> Vec<R> {
        let mut decoded = self.decoded.borrow_mut();
        let new = self.raw.sent_after(decoded.messages);
        decoded.messages = decoded.messages.saturating_add(new.len());
        decoded.received.extend(new.iter().filter_map(Received::decode));
        decoded.received.iter().filter_map(select).collect()
    }

    fn find_of<R>(&self, call: &str, mut select: impl FnMut(&Content) -> Option<R>) -> Vec<R> {
        self.find(|received| if received.call == call { select(&received.content) } else { None })
    }

    /// The response to a call, once it is there.
    #[must_use]
    pub fn response(&self, call: &str) -> Option<Result<Value, CallError>> {
        let response = |content: &Content| match content {
            Content::Response(value) => Some(Ok(value.clone())),
            Content::Error(error) => Some(Err(error.clone())),
            _ => None,
        };
        self.find_of(call, response).into_iter().next()
    }

    /// The items received so far of a stream that a call responded with.
    #[must_use]
    pub fn items(&self, call: &str) -> Vec<Event> {
        self.find_of(call, |content| match content {
            Content::Event(event) => Some(event.clone()),
            _ => None,
        })
    }

    /// The events of the channel received so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let subscriptions = self.subscriptions.borrow();
        self.find(|Received { call, content }| match content {
            Content::Event(event) if subscriptions.contains(call) => Some(event.clone()),
            _ => None,
        })
    }

    /// The events of the channel received so far, as the application's type.
    ///
    /// # Panics
    /// One of them is no `E`.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn events_as<E: DeserializeOwned>(&self) -> Vec<E> {
        let event = |event: Event| event.to().unwrap_or_else(|error| panic!("{event:?}: {error}"));
        self.events().into_iter().map(event).collect()
    }

    /// The id of the last event that has one: the cursor for [`subscribe_after`](Self::subscribe_after).
    #[must_use]
    pub fn last_event_id(&self) -> Option<EventId> {
        self.events().into_iter().filter_map(|event| event.id).next_back()
    }

    /// The id after the gap that the last subscription was notified of, if there was one.
    #[must_use]
    pub fn gap(&self) -> Option<EventId> {
        let last = self.subscriptions.borrow().last().cloned()?;
        let gap = |content: &Content| match content {
            Content::Stream { gap } => *gap,
            _ => None,
        };
        self.find_of(&last, gap).into_iter().next()
    }

    /// The close frame that the Durable Object has sent. If the client closed first, it is the one in return.
    #[must_use]
    pub fn closed(&self) -> Option<CloseFrame> {
        self.raw.close_frame()
    }

    /// Whether neither side has closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.raw.is_open()
    }

    /// Closes the socket with a code, or without.
    pub fn close(&self, code: impl Into<Option<u16>>) {
        if self.is_open() {
            self.driver.instance().close(&self.raw, code.into());
            self.driver.run_until_idle();
        }
    }

    /// Loses the connection without a close frame, once the Workers runtime notices it.
    pub fn lose(&self) {
        if self.is_open() {
            self.driver.instance().lost(&self.raw);
            self.driver.run_until_idle();
        }
    }
}

#[track_caller]
#[expect(clippy::panic, reason = "a test fails by it")]
fn value<I: Serialize + ?Sized>(input: &I) -> Value {
    to_value(input).unwrap_or_else(|error| panic!("the input cannot be serialized: {error}"))
}

/// A text as JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
