//! The host of an application's Durable Object: all calls of the Workers runtime and of stubs end here.

mod alarm;
mod calls;
mod messages;
#[cfg(not(target_arch = "wasm32"))]
mod native_instance;
mod received;
mod rpc_methods;
mod streams;
mod upgrade;

#[cfg(not(target_arch = "wasm32"))]
pub use self::native_instance::{NativeInstance, Rejected};

use crate::{
    channel::{__Core, __Raw, ChannelCore, IsChannel, options::Options},
    error::Result,
    object::{Call, DurableEventIteratorObject, SocketOf, overrides_alarm, running_calls::Calls},
    procedure::{Procedures, RpcMethods},
    runtime::{Context, Identity, RawSocket},
    socket::{close_code, session::Session},
    upgrade::{Caps, signing_keys},
};
use durable_event_token::SigningKeys;
use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};
use worker::Env;

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
    /// Constructs the Durable Object whose `ctx` and `env` these are.
    ///
    /// # Errors
    /// The Workers runtime does not give access to the sockets, an option is invalid, or the object's own error.
    pub(in crate::object) fn new(ctx: Context, env: Env) -> Result<Self> {
        let mut options = O::options(&env);
        options.check()?;
        options.prune_by_alarm &= !overrides_alarm::<O>();
        let identity = Identity::new(&ctx, &env)?;
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

    pub(in crate::object) fn options(&self) -> &Options {
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

    /// A client has closed its socket. Without a code, its close frame had none.
    pub(in crate::object) fn close(&self, ws: &RawSocket, code: Option<u16>) {
        self.forget(ws);
        // Without an answer the client sees no close frame, and the connection stays open.
        let code = code.filter(|code| *code != close_code::NO_STATUS).unwrap_or(close_code::NORMAL);
        if ws.close(code, "").is_err() {
            // A code that no close frame may have.
            close(ws, close_code::PROTOCOL_ERROR, "Invalid close code");
        }
    }

    /// A socket has failed.
    pub(in crate::object) fn error(&self, ws: &RawSocket) {
        self.forget(ws);
        close(ws, close_code::INTERNAL_ERROR, "Socket error");
    }

    /// A socket has gone.
    pub(in crate::object) fn forget(&self, ws: &RawSocket) {
        let Ok(socket) = ws.id() else { return };
        self.core.sessions.forget(socket);
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.abort_all(socket);
        }
    }
}

/// An error is a socket that is closed already, or a code that cannot be sent.
pub(super) fn close(ws: &RawSocket, code: u16, reason: &str) {
    let _ = ws.close(code, reason);
}
