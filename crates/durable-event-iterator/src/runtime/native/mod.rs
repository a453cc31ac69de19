//! A Durable Object in memory. Everything stands still until whoever tests moves it.

mod event_loop;
mod hub;
mod object_state;
mod rpc_value;
mod socket;
mod storage;

pub(crate) use self::{
    event_loop::{next_turn, pause, spawn},
    hub::{Admits, Cursor, Hub, LiveView, Replay},
    object_state::{ObjectState as Context, log_error, log_warning, now_ms},
    rpc_value::{from_wire, serialized_of, to_wire, undefined_option},
    storage::Storage,
};
pub use self::{
    object_state::{Entered, ObjectState},
    socket::{CloseFrame, RawSocket},
};
/// An argument or a result of an RPC method.
pub(crate) use durable_event_wire::Value as RpcValue;

use super::{JsError, Verdict};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

/// An opened socket.
pub(crate) type OpenedSocket = RawSocket;

/// Which channel a Durable Object is.
pub(crate) struct Identity(ObjectState);

impl Identity {
    /// That of the Durable Object whose `ctx` this is.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
    pub(crate) fn new(ctx: &Context, _env: &Env) -> Result<Self, JsError> {
        Ok(Self(ctx.clone()))
    }

    /// The name, if it has one.
    pub(crate) fn name(&self) -> Option<String> {
        Some(self.0.name().to_owned()).filter(|name| !name.is_empty())
    }

    /// Whether it is the channel of this name.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
    pub(crate) fn is(&self, channel: &str) -> Result<Verdict, JsError> {
        Ok(match self.0.name() {
            "" => Verdict::Unknown,
            name if name == channel => Verdict::Yes,
            _ => Verdict::No,
        })
    }
}

/// A stream that answers a call. Here no instance is lost while it runs.
pub(crate) struct OpenStream;

impl OpenStream {
    pub(crate) fn new(_ws: &RawSocket, _id: &str) -> Self {
        Self
    }
}

/// A stand-in for the runtime's own handle of a Durable Object, which has no functions here: they panic.
pub(crate) fn state(_ctx: Context) -> worker::State {
    JsValue::UNDEFINED.unchecked_into::<worker::worker_sys::DurableObjectState>().into()
}

/// A stand-in for a Worker's bindings, which has none: looking for one panics.
pub(crate) fn no_env() -> Env {
    JsValue::UNDEFINED.unchecked_into()
}
