//! The host of an application's Durable Object, which handles all calls of the Workers runtime and of stubs.

mod alarm;
mod calls;
// Only `embedding` runs external calls, which does not exist on native targets.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
mod external;
mod messages;
#[cfg(not(target_arch = "wasm32"))]
mod native_instance;
mod publisher;
mod received;
mod rpc_methods;
mod streams;
mod trusted;
mod upgrade;

#[cfg(not(target_arch = "wasm32"))]
pub use self::native_instance::{NativeInstance, Rejected};
#[cfg(target_arch = "wasm32")]
pub(in crate::object) use self::rpc_methods::{
    BATCH_LIMITS, BatchOptions, batch_length, read_options, unpublishable, unpublishable_batch,
};

pub(in crate::object) use self::external::{External, ExternalCall, Responder};
pub(in crate::object) use self::publisher::PublisherSocket;
use crate::{
    channel::{
        __Core, __Raw, ChannelCore, IsChannel,
        options::Options,
        presence::{self, SET_PRESENCE},
    },
    error::Result,
    object::{
        Call, DurableEventIteratorObject, SocketOf, overrides_alarm,
        running_calls::{Aborted, Calls},
    },
    procedure::{Procedures, RpcMethods},
    runtime::{self, Context, Dataset, Identity, RawSocket},
    socket::{close_code, session::Session},
    upgrade::{Caps, signing_keys},
};
use durable_event_token::SigningKeys;
use durable_event_wire::Value;
use std::{
    cell::{OnceCell, RefCell},
    rc::Rc,
};
use worker::Env;

/// The state of one instance of a class. All of it can be rebuilt: it is lost when the Durable Object hibernates.
pub(in crate::object) struct Host<O: DurableEventIteratorObject> {
    object: O,
    procedures: Procedures<O, Call<O>>,
    rpc_methods: RpcMethods<O>,
    core: Rc<ChannelCore>,
    /// Read on the first upgrade, since most wake-ups are for a publish.
    keys: OnceCell<Option<SigningKeys>>,
    env: Env,
    caps: Caps,
    calls: Rc<RefCell<Calls>>,
    /// The code that runs procedures instead of `object`.
    external: Option<Rc<dyn External>>,
}

impl<O: DurableEventIteratorObject> Host<O> {
    /// Constructs the application's Durable Object from the `ctx` and `env` of its class.
    ///
    /// # Errors
    /// The Workers runtime gives no access to the sockets, an option is invalid, or the application's `new` fails.
    pub(in crate::object) fn new(ctx: Context, env: Env) -> Result<Self> {
        let mut options = O::options(&env);
        options.prune_by_alarm &= !overrides_alarm::<O>();
        Self::with(ctx, env, options, O::new, None)
    }

    /// Does the same with options and a constructor that are not those of the type, and with code that runs the procedures.
    ///
    /// # Errors
    /// As [`Host::new`].
    pub(in crate::object) fn with(
        ctx: Context,
        env: Env,
        options: Options,
        new: impl FnOnce(O::Channel, Env) -> Result<O>,
        external: Option<Rc<dyn External>>,
    ) -> Result<Self> {
        options.check()?;
        let identity = Identity::new(&ctx, &env)?;
        let dataset = options.metrics.as_deref().and_then(|name| Dataset::bound(&env, name));
        let core = ChannelCore::new(ctx, identity, options, dataset)?;
        let object = new(O::Channel::from_core(__Core(Rc::clone(&core))), env.clone())?;
        let calls = Rc::new(RefCell::new(Calls::new(&core.options)));
        let mut procedures = O::procedures();
        let sets_presence = core.options.presence.is_some() && !core.options.replaces_set_presence;
        if sets_presence && procedures.names().all(|name| name != SET_PRESENCE) {
            procedures = procedures.procedure(SET_PRESENCE, async |_: &O, call: Call<O>, state: Value| {
                O::Channel::set_presence(&call.socket, &state)
            });
        }
        let running = Rc::clone(&calls);
        let _ = core.abort_calls.set(Box::new(move |ws| abort_calls(&running, ws))); // it is a new core
        Ok(Self {
            object,
            procedures,
            rpc_methods: O::rpc_methods(),
            core,
            keys: OnceCell::new(),
            env,
            caps: Caps::default(),
            calls,
            external,
        })
    }

    pub(in crate::object) fn options(&self) -> &Options {
        &self.core.options
    }

    pub(super) fn keys(&self) -> Option<&SigningKeys> {
        let read = || self.options().signing_keys.clone().or_else(|| signing_keys(&self.env));
        self.keys.get_or_init(read).as_ref()
    }

    /// Returns the application's handle of a socket.
    pub(super) fn socket(&self, ws: &RawSocket, session: &Session) -> SocketOf<O> {
        let raw = __Raw { connection: session.connection.clone(), socket: ws.clone() };
        O::Channel::socket(&__Core(Rc::clone(&self.core)), raw)
    }

    /// Handles a socket that the client has closed. `code` is `None` if the close frame had no code.
    pub(in crate::object) fn close(&self, ws: &RawSocket, code: Option<u16>) {
        self.closed(ws);
        // Without a close frame in return, the connection would stay open.
        let code = code.filter(|code| *code != close_code::NO_STATUS).unwrap_or(close_code::NORMAL);
        if ws.close(code, "").is_err() {
            // The code is not allowed in a close frame.
            close(ws, close_code::PROTOCOL_ERROR, "Invalid close code");
        }
    }

    /// Handles a socket that has failed.
    pub(in crate::object) fn error(&self, ws: &RawSocket) {
        self.closed(ws);
        close(ws, close_code::INTERNAL_ERROR, "Socket error");
    }

    /// Handles a connection that was lost without a close frame.
    pub(in crate::object) fn lost(&self, ws: &RawSocket) {
        self.closed(ws);
    }

    /// Handles the timer of presence.
    #[cfg(target_arch = "wasm32")]
    pub(in crate::object) fn presence(&self) {
        presence::timer(&self.core);
    }

    /// Aborts the calls of a socket that has closed, calls the application's handler, and removes the state of the socket.
    fn closed(&self, ws: &RawSocket) {
        let Ok(socket) = ws.id() else { return };
        abort_calls(&self.calls, ws);
        // The attachment is readable until the end of this call. A socket that another version has accepted may have none.
        match self.core.sessions.read(ws) {
            Ok(session) if !session.is_publisher() => {
                presence::closed(&self.core, ws, &session); // first, since the handler may break the instance
                if let Err(error) = self.object.on_closed(&self.socket(ws, &session)) {
                    runtime::log_error(&format!("on_closed failed: {error}"));
                }
            }
            Ok(_) => {}
            Err(_) => presence::closed_unreadable(&self.core, ws),
        }
        self.core.sessions.forget(socket);
    }
}

/// Aborts the running calls of a socket.
fn abort_calls(calls: &RefCell<Calls>, ws: &RawSocket) {
    let Ok(socket) = ws.id() else { return };
    let aborted = calls.try_borrow_mut().map(|mut calls| calls.abort_all(socket));
    aborted.into_iter().flatten().for_each(Aborted::tell);
}

/// Closes a socket. Errors are ignored: the socket has closed already, or the code cannot be sent.
pub(super) fn close(ws: &RawSocket, code: u16, reason: &str) {
    let _ = ws.close(code, reason);
}
