//! One instance of a Durable Object class, as JavaScript holds it: where everything that the platform or a stub calls comes in.

use super::{DurableEventIteratorObject, host::Host};
use std::{cell::OnceCell, rc::Rc};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, worker_sys::DurableObjectState};

/// A message of a client.
#[derive(Debug)]
pub enum Message {
    /// A frame without blobs.
    Text(String),
    /// A frame that may have some.
    Bytes(Vec<u8>),
}

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

type Make = fn(&str, DurableObjectState, Env) -> Result<Rc<dyn AnyHost>, JsValue>;

/// A host of whatever object: it keeps a class's own code small, and what is wrong with its object one message of the compiler's.
pub(super) trait AnyHost {
    /// How large a frame may be, in bytes.
    fn max_frame(&self) -> usize;
    /// A frame of a client. Answers with a promise where there is something to wait for.
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
    /// A method of the application. Answers with a promise where there is something to wait for.
    fn dispatch(self: Rc<Self>, name: JsValue, arguments: JsValue) -> JsValue;
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
        let parts = Parts { class, ctx: ctx.into(), env, make: Host::<O>::make };
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
        let host = make(class, ctx.clone().unchecked_into(), env.clone())?;
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
