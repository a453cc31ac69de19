//! A Durable Object in memory, for test kits. Time and tasks advance only when the test kit advances them.

mod event_loop;
mod hub;
mod object_state;
mod observe;
mod page;
mod rpc_value;
mod socket;
mod storage;

pub(crate) use self::{
    event_loop::{next_turn, pause, spawn},
    hub::{Admits, Cursor, Hub, LiveView, Replay, Unsent, Work},
    object_state::{ObjectState as Context, log_error, log_warning, now_ms},
    observe::{Dataset, log_object},
    page::Page,
    rpc_value::{
        flag_member, from_wire, length_of, serialized_of, text, text_member, to_wire, to_wire_all,
        undefined_option, undefined_option_in,
    },
    storage::Storage,
};
pub use self::{
    object_state::{Entered, ObjectState},
    socket::{CloseFrame, RawSocket},
    storage::ObjectDatabase,
};
/// An argument or a result of an RPC method.
pub(crate) use durable_event_wire::Value as RpcValue;

use super::{JsError, Verdict};
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

/// An opened socket.
pub(crate) type OpenedSocket = RawSocket;

/// Determines the channel that a Durable Object serves.
pub(crate) struct Identity(ObjectState);

impl Identity {
    /// Creates the identity from the `ctx` of the Durable Object.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
    pub(crate) fn new(ctx: &Context, _env: &Env) -> Result<Self, JsError> {
        Ok(Self(ctx.clone()))
    }

    /// Returns the channel name, if the Durable Object has one.
    pub(crate) fn name(&self) -> Option<String> {
        Some(self.0.name().to_owned()).filter(|name| !name.is_empty())
    }

    /// Returns whether the Durable Object serves the channel of this name.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
    pub(crate) fn is(&self, channel: &str) -> Result<Verdict, JsError> {
        Ok(match self.0.name() {
            "" => Verdict::Unknown,
            name if name == channel => Verdict::Yes,
            _ => Verdict::No,
        })
    }
}

/// A stream that is the response to a call. On native targets no instance is lost during a stream.
pub(crate) struct OpenStream;

impl OpenStream {
    pub(crate) fn new(_ws: RawSocket, _id: String) -> Self {
        Self
    }
}

/// Returns a placeholder for the `worker` crate's handle of a Durable Object. Its methods panic.
pub(crate) fn state(_ctx: Context) -> worker::State {
    JsValue::UNDEFINED.unchecked_into::<worker::worker_sys::DurableObjectState>().into()
}

/// Returns a placeholder for the bindings of a Worker. Reading a binding panics.
pub(crate) fn no_env() -> Env {
    JsValue::UNDEFINED.unchecked_into()
}
