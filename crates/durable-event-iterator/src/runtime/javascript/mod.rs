//! Bindings to the Workers runtime for code inside a Durable Object.

mod at_once;
mod class;
mod event_loop;
mod hub;
mod identity;
mod observe;
mod options;
mod page;
mod storage;

pub(crate) use self::{
    at_once::at_once,
    class::{OpenStream, extend, failure, watch_replay},
    event_loop::{log_error, log_warning, next_turn, now_ms, pause, spawn},
    hub::{Admits, Hub, LiveView, RawSocket, Replay, Unsent, Work},
    identity::Identity,
    observe::{Dataset, log_object},
    options::{published, undefined_option, undefined_option_in},
    page::Page,
    storage::Storage,
};
pub(crate) use super::value::{
    flag_member, from_wire, length_of, serialized_of, text_member, to_wire, to_wire_all, to_wire_all_with,
    to_wire_with,
};
/// The `ctx` of a Durable Object.
pub(crate) use worker::worker_sys::DurableObjectState as Context;

use wasm_bindgen::JsValue;

/// A cursor over the rows of a statement.
pub(crate) type Cursor = JsValue;

/// The response that opens a socket.
pub(crate) type OpenedSocket = JsValue;

/// An argument or a result of an RPC method.
pub(crate) type RpcValue = JsValue;

/// Returns the `worker` crate's handle of a Durable Object.
pub(crate) fn state(ctx: Context) -> worker::State {
    ctx.into()
}

/// Returns a text as the result of an RPC method.
pub(crate) fn text(text: String) -> RpcValue {
    text.into()
}
