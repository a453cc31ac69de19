//! A client of a Durable Object in a test.

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

/// A client of a [`TestObject`](crate::TestObject), which records the messages that it receives.
///
/// Dropping it does not close the socket. Use [`close`](Self::close), or [`lose`](Self::lose) for a lost connection.
pub struct TestSocket<O: DurableEventIteratorObject> {
    driver: Rc<Driver<O>>,
    raw: Socket,
    last_call: Cell<u32>,
    subscriptions: RefCell<Vec<String>>,
    decoded: RefCell<Decoded>,
}

/// The cache of decoded messages.
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

/// The keep-alive message of clients, to which the Workers runtime responds.
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

    /// Sends any text message. The response to `ping` is `pong`, which does not wake the Durable Object.
    pub fn send_text(&self, text: impl Into<String>) {
        match text.into() {
            text if text == PING => self.raw.respond_to_ping(),
            text => self.send(Message::Text(text)),
        }
    }

    /// Sends any binary message.
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

    /// Subscribes with a cursor, the id of the last event that the client has received. Returns the id of the call.
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
    /// Returns the error that the client receives.
    ///
    /// # Panics
    /// The input cannot be serialized, the call waits, its response is a stream, or the socket is closed. For calls that wait or
    /// respond with a stream, use [`start_call`](Self::start_call).
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

    /// Starts a call that may wait or respond with a stream. Returns the id of the call.
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

    /// Refreshes the token on the open socket, as `DurableIterator` clients do. Create the token with
    /// [`TestObject::sign`](crate::TestObject::sign).
    ///
    /// # Errors
    /// Returns the error that the client receives.
    ///
    /// # Panics
    /// There is no response, because the socket is closed.
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn refresh_token(&self, token: &str) -> Result<(), CallError> {
        #[derive(Serialize)]
        struct Input<'a> {
            token: &'a str,
        }
        let id = self.request("/updateToken", &Input { token });
        let response = self.response(&id).map(|response| response.map(drop));
        response.unwrap_or_else(|| panic!("the token refresh has no response: {:?}", self.received()))
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

    /// Returns the messages received so far, undecoded.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.raw.sent_after(0)
    }

    /// Returns the messages received since the last call, undecoded, and removes them: no other function returns them afterwards.
    #[must_use]
    pub fn take_messages(&self) -> Vec<Message> {
        self.decoded.take();
        self.raw.take_sent()
    }

    /// Returns the messages received so far, decoded, without responses to a ping.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.find(|received| Some(received.clone()))
    }

    /// Returns the results of `select` for the messages received so far.
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

    /// Returns the response to a call, or `None` if there is none yet.
    #[must_use]
    pub fn response(&self, call: &str) -> Option<Result<Value, CallError>> {
        let response = |content: &Content| match content {
            Content::Response(value) => Some(Ok(value.clone())),
            Content::Error(error) => Some(Err(error.clone())),
            _ => None,
        };
        self.find_of(call, response).into_iter().next()
    }

    /// Returns the items received so far of the stream with which a call responded.
    #[must_use]
    pub fn items(&self, call: &str) -> Vec<Event> {
        self.find_of(call, |content| match content {
            Content::Event(event) => Some(event.clone()),
            _ => None,
        })
    }

    /// Returns the events of the channel received so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let subscriptions = self.subscriptions.borrow();
        self.find(|Received { call, content }| match content {
            Content::Event(event) if subscriptions.contains(call) => Some(event.clone()),
            _ => None,
        })
    }

    /// Returns the events of the channel received so far, converted to the application's type.
    ///
    /// # Panics
    /// An event does not deserialize to `E`.
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "a test fails by it")]
    pub fn events_as<E: DeserializeOwned>(&self) -> Vec<E> {
        let event = |event: Event| event.to().unwrap_or_else(|error| panic!("{event:?}: {error}"));
        self.events().into_iter().map(event).collect()
    }

    /// Returns the client's cursor for [`subscribe_after`](Self::subscribe_after): the id of the last received event that has one.
    #[must_use]
    pub fn last_event_id(&self) -> Option<EventId> {
        self.events().into_iter().filter_map(|event| event.id).next_back()
    }

    /// Returns the id of the first event after a gap, if the last subscription received a gap notification.
    #[must_use]
    pub fn gap(&self) -> Option<EventId> {
        let last = self.subscriptions.borrow().last().cloned()?;
        let gap = |content: &Content| match content {
            Content::Stream { gap } => *gap,
            _ => None,
        };
        self.find_of(&last, gap).into_iter().next()
    }

    /// Returns the close frame that the Durable Object has sent, either first or in return for the client's.
    #[must_use]
    pub fn closed(&self) -> Option<CloseFrame> {
        self.raw.close_frame()
    }

    /// Returns whether neither side has closed the socket.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.raw.is_open()
    }

    /// Closes the socket. `code` is the close code, or `None` for a close frame without one.
    pub fn close(&self, code: impl Into<Option<u16>>) {
        if self.is_open() {
            self.driver.instance().close(&self.raw, code.into());
            self.driver.run_until_idle();
        }
    }

    /// Loses the connection without a close frame. The Workers runtime notices it at once.
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

/// Writes a text as JSON.
fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
