//! One instance of a Durable Object class, as JavaScript holds it: where everything that the platform or a stub calls comes in.

use super::{DurableEventIteratorObject, host::Host};
use crate::{
    channel::Published,
    error::Result,
    runtime::{self, Message},
    upgrade,
};
use std::{cell::OnceCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, worker_sys::DurableObjectState};

/// Where and when a message has come. JavaScript tells both along with it: asking for them takes as long as reading it.
#[derive(Debug)]
pub struct Arrival {
    /// The socket.
    pub ws: JsValue,
    /// The socket's id, see `idOf` of `hot.js`.
    pub socket_id: u32,
    /// Milliseconds since the epoch.
    pub now_ms: f64,
}

/// What a class keeps. The object is made by the first call and not by the class's constructor: when its code traps, it is the
/// call that fails, and `class.js` sees it as it sees every other.
#[allow(missing_debug_implementations)]
pub struct Instance {
    host: OnceCell<Rc<dyn AnyHost>>,
    /// None only in the instance that shows the class to `extend`.
    parts: Option<Parts>,
}

/// Of what the object is made.
struct Parts {
    class: &'static str,
    /// A `DurableObjectState`, whose type cannot be cloned.
    ctx: JsValue,
    env: Env,
    make: Make,
}

type Make = fn(DurableObjectState, Env) -> Result<Rc<dyn AnyHost>>;

/// A host of whatever object: it keeps a class's own code small, and what is wrong with its object one message of the compiler's.
trait AnyHost {
    /// How large a frame may be, in bytes.
    fn max_frame(&self) -> usize;
    /// A frame of a client. Returns a promise where there is something to wait for.
    fn message(self: Rc<Self>, arrival: Arrival, message: Message) -> JsValue;
    /// An upgrade request, which a Worker has handed over.
    fn fetch(&self, request: JsValue) -> JsValue;
    /// A client's connection was lost without a close frame. The runtime drops the socket by itself; closing it would throw inside
    /// of the runtime, which costs a third of an upgrade.
    fn lost(&self, ws: JsValue);
    /// A client has closed its socket.
    fn close(&self, ws: JsValue, code: JsValue);
    /// A socket has failed.
    fn error(&self, ws: JsValue);
    /// The object's alarm has gone off.
    fn alarm(self: Rc<Self>) -> JsValue;
    /// `stub.publish(event, options?)`.
    fn publish(&self, event: JsValue, options: JsValue) -> JsValue;
    /// A method of the application. Returns a promise where there is something to wait for.
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

    fn fetch(&self, request: JsValue) -> JsValue {
        self.upgrade(&runtime::head_of(&request.unchecked_into())).unwrap_or_else(|rejection| {
            match upgrade::respond(&rejection) {
                Ok(response) => response.into(),
                Err(error) => {
                    let error = error.into();
                    runtime::log_internal("fetch", &error);
                    runtime::failure(&error)
                }
            }
        })
    }

    fn lost(&self, ws: JsValue) {
        self.forget(&ws.unchecked_into());
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

    fn publish(&self, event: JsValue, options: JsValue) -> JsValue {
        match self.publish(&event, (!options.is_undefined()).then_some(&options)) {
            Ok(Published { id, is_duplicate }) => runtime::published(&id.to_string(), is_duplicate),
            Err(error) => runtime::failure(&error),
        }
    }

    fn dispatch(self: Rc<Self>, name: JsValue, arguments: JsValue) -> JsValue {
        runtime::at_once(async move {
            let name = name.as_string().unwrap_or_default();
            let result = (*self).dispatch(&name, arguments).await;
            result.unwrap_or_else(|error| runtime::failure(&error))
        })
    }
}

/// What `class.js` enters for; the numbers are its own too.
mod entry {
    pub(super) const MAX_FRAME: u8 = 0;
    pub(super) const FETCH: u8 = 1;
    pub(super) const CLOSE: u8 = 2;
    pub(super) const ERROR: u8 = 3;
    pub(super) const ALARM: u8 = 4;
    pub(super) const PUBLISH: u8 = 5;
    pub(super) const METHOD: u8 = 6;
    pub(super) const LOST: u8 = 7;
}

impl Instance {
    /// The instance of a class whose `ctx` and `env` these are.
    #[must_use]
    pub fn new<O: DurableEventIteratorObject>(
        class: &'static str,
        ctx: DurableObjectState,
        env: Env,
    ) -> Self {
        let make: Make = |ctx, env| Ok(Rc::new(Host::<O>::new(ctx, env)?));
        let parts = Parts { class, ctx: ctx.into(), env, make };
        Self { host: OnceCell::new(), parts: Some(parts) }
    }

    /// An instance without an object.
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

    /// A frame of a client. Returns a promise where there is something to wait for, and a `Failure` (see
    /// `runtime/exceptions.js`) where the object cannot be made.
    #[must_use]
    pub fn message(&self, arrival: Arrival, message: Message) -> JsValue {
        self.host().map_or_else(|failure| failure, |host| host.message(arrival, message))
    }

    /// Whatever else is called, with up to two arguments. Returns a `Failure` for what the caller is to get as an exception.
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
            entry::PUBLISH => host.publish(first, second),
            entry::METHOD => host.dispatch(first, second),
            _ => JsValue::UNDEFINED,
        }
    }
}

/// Turns the class of `dummy` into one that stubs can call.
pub fn extend<O: DurableEventIteratorObject>(class: &str, dummy: JsValue) {
    console_error_panic_hook::set_once();
    let methods = O::rpc_methods();
    let methods: Vec<&str> = methods.names().collect();
    runtime::extend(class, &dummy, &methods);
}
