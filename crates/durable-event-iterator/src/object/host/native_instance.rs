//! One instance of a Durable Object on a native target, held by a test kit: the entry points of the Workers runtime and of stubs.

use super::{Host, PublisherSocket};
use crate::{
    channel::{
        __Core, IsChannel, PublishOptions, Published, event_body,
        rpc_options::{BatchCall, RpcOptions},
    },
    error::{Code, Error, Result},
    object::DurableEventIteratorObject,
    runtime::{
        Message, UpgradeRequest,
        native::{ObjectState, RawSocket, no_env},
    },
    socket::close_code,
    upgrade::{self, Rejection},
};
use durable_event_log::EventId;
use durable_event_token::SigningKeys;
use durable_event_wire::{Object, Serialized, Value, to_value};
use serde::Serialize;
use std::{fmt, rc::Rc};

/// One instance of a Durable Object on a native target, from its construction to hibernation.
///
/// Work that waits continues in the event loop of its [`ObjectState`]. Dropping the instance drops this work. Sockets, their
/// attachments and the storage belong to the state and remain for the next instance.
pub struct NativeInstance<O: DurableEventIteratorObject> {
    host: Rc<Host<O>>,
    state: ObjectState,
}

/// The response to an upgrade request that was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub text: &'static str,
    /// The header `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text)
    }
}

impl std::error::Error for Rejected {}

impl<O: DurableEventIteratorObject> fmt::Debug for NativeInstance<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("state", &self.state).finish_non_exhaustive()
    }
}

impl<O: DurableEventIteratorObject> NativeInstance<O> {
    /// Constructs the Durable Object. `keys` verify tokens, unless the options of the Durable Object contain signing keys. Its
    /// `env` has no bindings: reading one panics.
    ///
    /// # Errors
    /// An option is invalid, or the application's `new` fails.
    pub fn new(state: &ObjectState, keys: &SigningKeys) -> Result<Self> {
        let _entered = state.enter();
        let host = Host::new(state.clone(), no_env())?;
        if host.options().signing_keys.is_none() {
            host.keys.get_or_init(|| Some(keys.clone()));
        }
        Ok(Self { host: Rc::new(host), state: state.clone() })
    }

    /// Returns the application's Durable Object. [Enter](ObjectState::enter) its state before calling its methods.
    #[must_use]
    pub fn object(&self) -> &O {
        &self.host.object
    }

    /// Returns a handle of its channel.
    #[must_use]
    pub fn channel(&self) -> O::Channel {
        O::Channel::from_core(__Core(Rc::clone(&self.host.core)))
    }

    /// Delivers an upgrade request with the value of its `Upgrade` header and its URL, and returns the server's side of the socket.
    ///
    /// # Errors
    /// The upgrade is rejected, for example because the token is invalid.
    pub fn upgrade(&self, upgrade: Option<&str>, url: &str) -> Result<RawSocket, Rejected> {
        let _entered = self.state.enter();
        let request = UpgradeRequest { upgrade: upgrade.map(str::to_owned), url: url.to_owned() };
        self.host.upgrade(&request).map_err(|rejection| rejected(&rejection))
    }

    /// Delivers a publish request of oRPC's publisher, for a class with [`Options::publisher`](crate::Options::publisher).
    ///
    /// # Errors
    /// Returns the error that the response contains. NOT_FOUND if the class does not serve publishers.
    pub fn publisher_publish(&self, body: &[u8]) -> Result<()> {
        let _entered = self.state.enter();
        if !self.host.options().serves_publishers {
            return Err(Error::new(Code::NotFound));
        }
        self.host.publish_for_publisher(body)
    }

    /// Delivers a subscribe request of oRPC's publisher, for a class with [`Options::publisher`](crate::Options::publisher). Returns
    /// the server's side of the socket, and the id of the first event after a gap.
    ///
    /// # Errors
    /// There are too many sockets, or the class does not serve publishers.
    pub fn publisher_subscribe(
        &self,
        last_event_id: Option<&str>,
    ) -> Result<(RawSocket, Option<EventId>), Rejected> {
        let _entered = self.state.enter();
        let opened = match self.host.options().serves_publishers {
            true => self.host.subscribe_for_publisher(last_event_id),
            false => Err(Rejection::TokenMissing),
        };
        let PublisherSocket { response, gap, rest, .. } = opened.map_err(|rejection| rejected(&rejection))?;
        self.state.start(rest);
        Ok((response, gap))
    }

    /// Delivers a message of a client.
    pub fn message(&self, socket: &RawSocket, message: Message) {
        if !socket.is_open() {
            return; // as in `class.js`
        }
        let max_frame = self.host.options().max_frame;
        let is_too_large = match &message {
            // Counted in UTF-16 code units, as in JavaScript.
            Message::Text(text) => text.len() > max_frame && text.encode_utf16().count() > max_frame,
            Message::Bytes(bytes) => bytes.len() > max_frame,
        };
        if is_too_large {
            let _ = socket.close(close_code::TOO_BIG, "Frame too large"); // an error is a socket that is closed
            return;
        }
        let (Ok(id), now_ms) = (socket.id(), self.state.now_ms()) else { return };
        let (host, socket) = (Rc::clone(&self.host), socket.clone());
        self.state.start(async move { host.message(socket, id, now_ms, message).await });
    }

    /// Delivers a client's close frame, which begins a close or responds to one. `code` is `None` for a frame without a code.
    pub fn close(&self, socket: &RawSocket, code: Option<u16>) {
        let _entered = self.state.enter();
        socket.client_is_closing();
        self.host.close(socket, code);
        self.end(socket);
    }

    /// Reports that a client's connection was lost without a close frame.
    pub fn lost(&self, socket: &RawSocket) {
        let _entered = self.state.enter();
        socket.client_is_closing();
        self.host.lost(socket);
        self.end(socket);
    }

    /// Delivers the failure of a socket.
    pub fn error(&self, socket: &RawSocket) {
        let _entered = self.state.enter();
        socket.client_is_closing();
        self.host.error(socket);
        self.end(socket);
    }

    fn end(&self, socket: &RawSocket) {
        socket.client_has_gone();
        self.state.remove_socket(socket);
    }

    /// Runs the alarm. `done` receives the result.
    pub fn alarm(&self, done: impl FnOnce(Result<()>) + 'static) {
        let host = Rc::clone(&self.host);
        self.state.start(async move { done(host.alarm().await) });
    }

    /// Publishes an event like `stub.publish(event, options)` of a JavaScript Worker.
    ///
    /// # Errors
    /// Returns the error that the caller of the stub receives.
    pub fn publish(&self, event: &Value, options: Option<&Value>) -> Result<Published> {
        let _entered = self.state.enter();
        self.host.publish(event, options)
    }

    /// Publishes an event like [`ChannelStub::publish_with`](crate::ChannelStub::publish_with) of a Rust Worker.
    ///
    /// # Errors
    /// Returns the same errors as [`publish`](Self::publish).
    pub fn publish_with<E: Serialize + ?Sized>(
        &self,
        event: &E,
        options: &PublishOptions,
    ) -> Result<Published> {
        let Serialized { json, meta, .. } = event_body(event)?;
        let halves = [("json", json), ("meta", meta)].into_iter();
        let event: Object = halves.filter_map(|(key, half)| Some((key, half?))).collect();
        self.publish(&event.into(), Some(&to_value(&RpcOptions::from(options))?))
    }

    /// Publishes events like `stub.publishBatch(events, options)` of a JavaScript Worker.
    ///
    /// # Errors
    /// Returns the error that the caller of the stub receives.
    pub fn publish_batch(&self, events: &Value, options: Option<&Value>) -> Result<Vec<Published>> {
        let _entered = self.state.enter();
        self.host.publish_batch(events, options)
    }

    /// Publishes events like [`ChannelStub::publish_batch_with`](crate::ChannelStub::publish_batch_with) of a Rust Worker.
    ///
    /// # Errors
    /// Returns the same errors as [`publish_batch`](Self::publish_batch).
    pub fn publish_batch_with<'e, E: Serialize + ?Sized + 'e>(
        &self,
        events: impl IntoIterator<Item = (&'e E, PublishOptions)>,
    ) -> Result<Vec<Published>> {
        let BatchCall { events, options } = BatchCall::of(events)?;
        self.publish_batch(&to_value(&events)?, Some(&to_value(&options)?))
    }

    /// Calls a trusted RPC method, such as `~stats`, as the library's own Workers call it, and returns its result: text.
    ///
    /// # Errors
    /// Returns the error that the Worker receives.
    pub fn trusted(&self, method: &str, argument: &Value) -> Result<Value> {
        let _entered = self.state.enter();
        self.host.trusted(method, argument)
    }

    /// Calls an RPC method of the application. `arguments` is an array. `done` receives the result.
    pub fn call(&self, method: &str, arguments: Value, done: impl FnOnce(Result<Value>) + 'static) {
        let (host, method) = (Rc::clone(&self.host), method.to_owned());
        self.state.start(async move { done(host.dispatch(&method, arguments).await) });
    }
}

/// Logs a rejection and returns its response.
fn rejected(rejection: &Rejection) -> Rejected {
    upgrade::log_rejection(rejection);
    Rejected { status: rejection.status(), text: rejection.text(), retry_after: rejection.retry_after() }
}

impl<O: DurableEventIteratorObject> Drop for NativeInstance<O> {
    fn drop(&mut self) {
        self.state.instance_ended();
    }
}
