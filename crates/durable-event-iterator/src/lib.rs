//! Durable, resumable event channels over WebSockets for Cloudflare Durable Objects, spoken by oRPC clients.

mod audience;
mod channel;
mod durable_object;
mod error;
pub mod http;
mod log;
mod object;
mod options;
mod procedure;
mod runtime;
mod session;
mod socket;
mod stub;
mod subscription;
mod token;
mod upgrade;
mod wire;

pub use channel::{Audience, Channel, Draft, IsChannel};
pub use error::{Code, Error, Result};
pub use log::{EventId, InvalidEventId};
pub use object::{Call, DurableEventIteratorObject, Invocation, SocketOf, StubCall};
pub use options::Options;
pub use procedure::{Next, Procedures, Reply, StreamItem, Upload};
pub use socket::{Socket, Untyped};
pub use stub::{ChannelStub, PublishOptions};
pub use token::{ChannelName, Claims, InvalidChannelName, InvalidKey, PublishKey};
pub use token::{SigningKey, SigningKeys, Token, TokenBuilder, TokenError};
pub use upgrade::{ConnectionId, InvalidConnectionId, Upgrade};
pub use wire::{
    BigInt, Blob, Custom, Date, EventMeta, InvalidBigInt, InvalidDate, InvalidInput, InvalidRegExp,
    InvalidUrl, Issue, Map, Number, Object, PathSegment, RegExp, SerializeError, Set, Undefined, Url, Value,
    from_value, to_value,
};

/// For the example `wire_golden` alone.
#[cfg(feature = "golden")]
#[doc(hidden)]
pub use wire::golden;

/// For `durable_object!` alone.
#[doc(hidden)]
pub mod __private {
    pub use crate::object::{AnyHost, host};
    pub use js_sys;
    pub use wasm_bindgen;
    pub use wasm_bindgen_futures;
    pub use worker::{Env, web_sys::Request, worker_sys::DurableObjectState};

    /// Lets the class of `dummy` be one that stubs can call.
    pub fn extend<O: crate::DurableEventIteratorObject>(class: &str, dummy: wasm_bindgen::JsValue) {
        console_error_panic_hook::set_once();
        let methods: Vec<&str> = O::methods().names().collect();
        crate::runtime::extend(class, &dummy, "__dispatch", &methods);
    }
}

/// The chapters whose examples are compiled with the tests.
#[cfg(doctest)]
mod chapters {
    #[doc = include_str!("../../../docs/procedures.md")]
    struct Procedures;
}
