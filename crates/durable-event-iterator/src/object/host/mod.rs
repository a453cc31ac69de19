//! The host of an application's Durable Object: all calls of the Workers runtime and of stubs end here.

mod alarm;
mod calls;
mod messages;
mod rpc_methods;
mod streams;
mod upgrade;

use crate::{
    channel::{__Core, __Raw, ChannelCore, IsChannel, options::Options},
    error::{Error, Result},
    object::{
        Call, DurableEventIteratorObject, SocketOf,
        instance::{AnyHost, Arrival, Message},
        overrides_alarm,
        routing::close_code,
        running_calls::Calls,
    },
    procedure::{Procedures, RpcMethods},
    runtime::{self, Identity, RawSocket},
    socket::{session::Session, subscription},
    upgrade::{Caps, signing_keys},
};
use durable_event_token::SigningKeys;
use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};
use wasm_bindgen::{JsCast, JsValue};
use worker::{Env, worker_sys::DurableObjectState};

/// What one instance of a class holds. Nothing in it cannot be rebuilt: it goes whenever the object sleeps.
pub(in crate::object) struct Host<O: DurableEventIteratorObject> {
    object: O,
    procedures: Procedures<O, Call<O>>,
    rpc_methods: RpcMethods<O>,
    core: Rc<ChannelCore>,
    /// Read when the first client comes: most wakings are for a publish.
    keys: OnceCell<Option<SigningKeys>>,
    env: Env,
    caps: Caps,
    calls: RefCell<Calls>,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// The host of an object of a class, whose `ctx` and `env` these are.
    ///
    /// # Errors
    /// When the platform does not let the library see the object's sockets.
    pub(in crate::object) fn make(
        class: &str,
        ctx: DurableObjectState,
        env: Env,
    ) -> Result<Rc<dyn AnyHost>, JsValue> {
        match Self::new(ctx, env) {
            Ok(host) => Ok(Rc::new(host)),
            Err(error) => Err(failure(class, &error)),
        }
    }

    /// The object whose `ctx` and `env` these are.
    fn new(ctx: DurableObjectState, env: Env) -> Result<Self> {
        let mut options = O::options(&env);
        options.check()?;
        options.prune_by_alarm &= !overrides_alarm::<O>();
        let identity = Identity::new(ctx.as_ref(), env.as_ref())?;
        let core = ChannelCore::new(ctx, identity, options)?;
        let object = O::new(O::Channel::from_core(__Core(Rc::clone(&core))), env.clone())?;
        let calls = RefCell::new(Calls::new(&core.options));
        Ok(Self {
            object,
            procedures: O::procedures(),
            rpc_methods: O::rpc_methods(),
            core,
            keys: OnceCell::new(),
            env,
            caps: Caps::default(),
            calls,
        })
    }

    pub(super) fn options(&self) -> &Options {
        &self.core.options
    }

    pub(super) fn keys(&self) -> Option<&SigningKeys> {
        let read = || self.options().signing_keys.clone().or_else(|| signing_keys(&self.env));
        self.keys.get_or_init(read).as_ref()
    }

    /// The socket as the application sees it.
    pub(super) fn socket(&self, ws: &RawSocket, session: &Session) -> SocketOf<O> {
        let raw = __Raw { connection: session.connection.clone(), socket: ws.clone() };
        O::Channel::socket(&__Core(Rc::clone(&self.core)), raw)
    }

    /// A client has closed its socket.
    pub(super) fn close(&self, ws: JsValue, code: JsValue) {
        let ws: RawSocket = ws.unchecked_into();
        self.forget(&ws);
        // Without an answer the client sees no close frame, and the connection stays open.
        let code = match code.as_f64().map_or(close_code::NO_STATUS, |code| code as u16) {
            close_code::NO_STATUS => close_code::NORMAL,
            code => code,
        };
        if ws.close(code, "").is_err() {
            // A code that no close frame may have.
            close(&ws, close_code::PROTOCOL_ERROR, "Invalid close code");
        }
    }

    /// A socket has failed.
    pub(super) fn error(&self, ws: JsValue) {
        let ws: RawSocket = ws.unchecked_into();
        self.forget(&ws);
        close(&ws, subscription::INTERNAL_ERROR, "Socket error");
    }

    pub(super) fn forget(&self, ws: &RawSocket) {
        let Ok(socket) = ws.id() else { return };
        self.core.sessions.forget(socket);
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.abort_all(socket);
        }
    }
}

impl<O: DurableEventIteratorObject> AnyHost for Host<O> {
    fn max_frame(&self) -> usize {
        self.options().max_frame
    }

    fn message(self: Rc<Self>, arrival: Arrival, message: Message) -> JsValue {
        runtime::at_once(async move {
            (*self).message(arrival, message).await;
            JsValue::UNDEFINED
        })
    }

    fn fetch(&self, request: JsValue) -> JsValue {
        self.fetch(&request.unchecked_into())
    }

    fn lost(&self, ws: JsValue) {
        self.forget(&ws.unchecked_into());
    }

    fn close(&self, ws: JsValue, code: JsValue) {
        self.close(ws, code);
    }

    fn error(&self, ws: JsValue) {
        self.error(ws);
    }

    fn alarm(self: Rc<Self>) -> JsValue {
        runtime::at_once(async move { (*self).alarm().await })
    }

    fn publish(&self, event: JsValue, options: JsValue) -> JsValue {
        self.publish(&event, &options)
    }

    fn dispatch(self: Rc<Self>, name: JsValue, arguments: JsValue) -> JsValue {
        runtime::at_once(async move { (*self).dispatch(name, arguments).await })
    }
}

/// What a method's caller gets as an exception.
pub(super) fn failure(method: &str, error: &Error) -> JsValue {
    runtime::log_internal(method, error);
    runtime::failure(error)
}

/// An error is a socket that is closed already, or a code that cannot be sent.
pub(super) fn close(ws: &RawSocket, code: u16, reason: &str) {
    let _ = ws.close(code, reason);
}
