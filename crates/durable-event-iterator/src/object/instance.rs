//! One instance of a Durable Object class, held by JavaScript: the entry points of the Workers runtime and of stubs.

use super::{
    DurableEventIteratorObject,
    host::{Host, PublisherSocket},
};
use crate::{
    channel::{Published, subscription::GAP_HEADER},
    error::{PublishError, Result},
    http,
    runtime::{self, Message, PublisherRequest},
    upgrade::{self, Rejection},
};
use std::{cell::OnceCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use worker::{
    Env,
    web_sys::{Request, Response},
    worker_sys::DurableObjectState,
};

/// The maximum size of a publisher's request, in bytes: the largest event in its serialized form. A larger one is not read.
const MAX_PUBLICATION: usize = 2 * 1024 * 1024;

/// The status of the response to a publisher's publish.
const NO_CONTENT: u16 = 204;

/// The socket and time of a message's arrival. JavaScript passes both with the message, which is cheaper than two more calls.
#[derive(Debug)]
pub struct Arrival {
    /// The socket.
    pub ws: JsValue,
    /// The socket's id: see `idOf` in `hot.js`.
    pub socket_id: u32,
    /// Time of arrival, in milliseconds since 1970.
    pub now_ms: f64,
}

/// The content of a class instance. The first call constructs the application's Durable Object, not the constructor of the class:
/// if its code traps, that call fails, and `class.js` handles it like any other.
#[allow(missing_debug_implementations)]
pub struct Instance {
    host: OnceCell<Rc<dyn AnyHost>>,
    /// `None` only in the dummy instance that is passed to `extend`.
    parts: Option<Parts>,
}

/// The arguments for constructing the Durable Object.
struct Parts {
    class: &'static str,
    /// A `DurableObjectState`, whose type cannot be cloned.
    ctx: JsValue,
    env: Env,
    make: Make,
}

pub(super) type Make = Rc<dyn Fn(DurableObjectState, Env) -> Result<Rc<dyn AnyHost>>>;

/// A [`Host`] of any type. The erased type keeps the code per class small, and limits an invalid type to one compiler message.
pub(super) trait AnyHost {
    /// Returns the maximum size of a message, in bytes.
    fn max_frame(&self) -> usize;
    /// Handles a message of a client. Returns a promise if the work is not complete.
    fn message(self: Rc<Self>, arrival: Arrival, message: Message) -> JsValue;
    /// Handles an upgrade request that a Worker has forwarded, or a request of oRPC's publisher. Returns a promise if the work is not
    /// complete.
    fn fetch(self: Rc<Self>, request: JsValue) -> JsValue;
    /// Handles a connection that was lost without a close frame. The Workers runtime drops the socket itself; closing it would
    /// throw inside the runtime, which costs a third of an upgrade.
    fn lost(&self, ws: JsValue);
    /// Handles a socket that the client has closed.
    fn close(&self, ws: JsValue, code: JsValue);
    /// Handles a socket that has failed.
    fn error(&self, ws: JsValue);
    /// Handles the alarm.
    fn alarm(self: Rc<Self>) -> JsValue;
    /// Handles the timer of presence.
    fn presence(&self);
    /// Handles `stub.publish(event, options?)`.
    fn publish(&self, event: JsValue, options: JsValue) -> JsValue;
    /// Handles `stub.publishBatch(events, options?)`. Returns JSON.
    fn publish_batch(&self, events: JsValue, options: JsValue) -> JsValue;
    /// Calls a trusted RPC method: see `host/trusted/mod.rs`.
    fn trusted(&self, method: JsValue, argument: JsValue) -> JsValue;
    /// Calls an RPC method of the application. Returns a promise if the method is not complete.
    fn dispatch(self: Rc<Self>, name: JsValue, arguments: JsValue) -> JsValue;
}

impl<O: DurableEventIteratorObject> AnyHost for Host<O> {
    fn max_frame(&self) -> usize {
        self.options().max_frame
    }

    fn message(self: Rc<Self>, Arrival { ws, socket_id, now_ms }: Arrival, message: Message) -> JsValue {
        runtime::at_once(async move {
            (*self).message(ws.unchecked_into(), socket_id, now_ms as u64, message).await;
            JsValue::UNDEFINED
        })
    }

    fn fetch(self: Rc<Self>, request: JsValue) -> JsValue {
        let request: Request = request.unchecked_into();
        let publisher = self.options().serves_publishers.then(|| runtime::publisher_request(&request));
        match publisher.flatten() {
            None => {
                self.upgrade(&runtime::head_of(&request)).unwrap_or_else(|rejection| rejected(&rejection))
            }
            Some(PublisherRequest::Subscribe { last_event_id }) => {
                let opened = self.subscribe_for_publisher(last_event_id.as_deref());
                opened.map_or_else(|rejection| rejected(&rejection), open)
            }
            Some(PublisherRequest::Publish) => runtime::at_once(async move {
                let published = async {
                    let body = runtime::read_body(&request, MAX_PUBLICATION).await?;
                    let limit = MAX_PUBLICATION;
                    self.publish_for_publisher(&body.ok_or(PublishError::TooLargeToRead { limit })?)
                };
                let response = match published.await {
                    Ok(()) => worker::Response::empty().map(|response| response.with_status(NO_CONTENT)),
                    Err(error) => {
                        runtime::log_internal("a publish of a publisher", &error);
                        http::error_response(&error)
                    }
                };
                response.map_or_else(
                    |error| runtime::failure(&error.into()),
                    |response| Response::from(response).into(),
                )
            }),
        }
    }

    fn lost(&self, ws: JsValue) {
        self.lost(&ws.unchecked_into());
    }

    fn close(&self, ws: JsValue, code: JsValue) {
        self.close(&ws.unchecked_into(), code.as_f64().map(|code| code as u16));
    }

    fn error(&self, ws: JsValue) {
        self.error(&ws.unchecked_into());
    }

    fn alarm(self: Rc<Self>) -> JsValue {
        let returned = |result: Result<()>| match result {
            Ok(()) => JsValue::UNDEFINED,
            Err(error) => runtime::failure(&error),
        };
        runtime::at_once(async move { returned((*self).alarm().await) })
    }

    fn presence(&self) {
        self.presence();
    }

    fn publish(&self, event: JsValue, options: JsValue) -> JsValue {
        match self.publish(&event, (!options.is_undefined()).then_some(&options)) {
            Ok(Published { id, is_duplicate }) => runtime::published(&id.to_string(), is_duplicate),
            Err(error) => runtime::failure(&error),
        }
    }

    fn publish_batch(&self, events: JsValue, options: JsValue) -> JsValue {
        let published = self.publish_batch(&events, (!options.is_undefined()).then_some(&options));
        let json = published.and_then(|published| Ok(serde_json::to_string(&published)?));
        json.map_or_else(|error| runtime::failure(&error), JsValue::from)
    }

    fn trusted(&self, method: JsValue, argument: JsValue) -> JsValue {
        let method = method.as_string().unwrap_or_default();
        self.trusted(&method, &argument).unwrap_or_else(|error| runtime::failure(&error))
    }

    fn dispatch(self: Rc<Self>, name: JsValue, arguments: JsValue) -> JsValue {
        runtime::at_once(async move {
            let name = name.as_string().unwrap_or_default();
            let result = (*self).dispatch(&name, arguments).await;
            result.unwrap_or_else(|error| runtime::failure(&error))
        })
    }
}

/// Returns the response to a rejected request.
fn rejected(rejection: &Rejection) -> JsValue {
    match upgrade::respond(rejection) {
        Ok(response) => response.into(),
        Err(error) => {
            let error = error.into();
            runtime::log_internal("fetch", &error);
            runtime::failure(&error)
        }
    }
}

/// Returns the response that opens the socket of a publisher's subscriber, and begins to send the missed events.
fn open(PublisherSocket { response, socket, gap, rest }: PublisherSocket) -> JsValue {
    let rest = runtime::at_once(async move {
        rest.await;
        JsValue::UNDEFINED
    });
    runtime::watch_replay(&socket, &rest);
    if let Some(gap) = gap {
        let headers = response.unchecked_ref::<Response>().headers();
        let _ = headers.set(GAP_HEADER, &gap.to_string()); // the headers of a new response can be set
    }
    response
}

/// The numbers of the entry points, as in `class.js`.
mod entry {
    pub(super) const MAX_FRAME: u8 = 0;
    pub(super) const FETCH: u8 = 1;
    pub(super) const CLOSE: u8 = 2;
    pub(super) const ERROR: u8 = 3;
    pub(super) const ALARM: u8 = 4;
    pub(super) const PUBLISH: u8 = 5;
    pub(super) const METHOD: u8 = 6;
    pub(super) const LOST: u8 = 7;
    pub(super) const PUBLISH_BATCH: u8 = 10;
    pub(super) const TRUSTED: u8 = 11;
    pub(super) const PRESENCE: u8 = 12;
}

impl Instance {
    /// Creates an instance of a class from the `ctx` and `env` of its constructor.
    #[must_use]
    pub fn new<O: DurableEventIteratorObject>(
        class: &'static str,
        ctx: DurableObjectState,
        env: Env,
    ) -> Self {
        let make: Make = Rc::new(|ctx, env| Ok(Rc::new(Host::<O>::new(ctx, env)?)));
        Self::with(class, ctx, env, make)
    }

    /// Creates an instance whose host `make` constructs.
    pub(super) fn with(class: &'static str, ctx: DurableObjectState, env: Env, make: Make) -> Self {
        let parts = Parts { class, ctx: ctx.into(), env, make };
        Self { host: OnceCell::new(), parts: Some(parts) }
    }

    /// Constructs the application's Durable Object, unless it exists.
    ///
    /// # Errors
    /// A `Failure` if it cannot be constructed.
    pub(super) fn start(&self) -> Result<(), JsValue> {
        self.host().map(drop)
    }

    /// Creates the dummy instance that is passed to [`extend`].
    #[must_use]
    pub const fn none() -> Self {
        Self { host: OnceCell::new(), parts: None }
    }

    fn host(&self) -> Result<Rc<dyn AnyHost>, JsValue> {
        if let Some(host) = self.host.get() {
            return Ok(Rc::clone(host));
        }
        let Parts { class, ctx, env, make } = self.parts.as_ref().ok_or(JsValue::UNDEFINED)?;
        let host = make(ctx.clone().unchecked_into(), env.clone()).map_err(|error| {
            runtime::log_internal(class, &error);
            runtime::failure(&error)
        })?;
        Ok(Rc::clone(self.host.get_or_init(|| host)))
    }

    /// Handles a message of a client. Returns a promise if the work is not complete, and a `Failure` (see
    /// `runtime/exceptions.js`) if the Durable Object cannot be constructed.
    #[must_use]
    pub fn message(&self, arrival: Arrival, message: Message) -> JsValue {
        self.host().map_or_else(|failure| failure, |host| host.message(arrival, message))
    }

    /// Handles any other call, with up to two arguments. Returns a `Failure` for an error that the caller receives as an exception.
    #[must_use]
    pub fn enter(&self, entry: u8, first: JsValue, second: JsValue) -> JsValue {
        let host = match self.host() {
            Ok(host) => host,
            Err(failure) => return failure,
        };
        match entry {
            entry::MAX_FRAME => JsValue::from_f64(host.max_frame() as f64),
            entry::FETCH => host.fetch(first),
            entry::LOST => {
                host.lost(first);
                JsValue::UNDEFINED
            }
            entry::CLOSE => {
                host.close(first, second);
                JsValue::UNDEFINED
            }
            entry::ERROR => {
                host.error(first);
                JsValue::UNDEFINED
            }
            entry::ALARM => host.alarm(),
            entry::PRESENCE => {
                host.presence();
                JsValue::UNDEFINED
            }
            entry::PUBLISH => host.publish(first, second),
            entry::METHOD => host.dispatch(first, second),
            entry::PUBLISH_BATCH => host.publish_batch(first, second),
            entry::TRUSTED => host.trusted(first, second),
            _ => JsValue::UNDEFINED,
        }
    }
}

/// Turns the class of `dummy` into a Durable Object class that stubs can call.
pub fn extend<O: DurableEventIteratorObject>(class: &str, dummy: JsValue) {
    console_error_panic_hook::set_once();
    let methods = O::rpc_methods();
    let methods: Vec<&str> = methods.names().collect();
    runtime::extend(class, &dummy, &methods);
}
