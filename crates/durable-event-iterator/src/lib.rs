//! A channel of events on Cloudflare Durable Objects, which browsers iterate over with `for await`.
//!
//! A client opens a WebSocket to the object that its signed token names, with an unmodified oRPC client, and iterates
//! over the channel's events. The socket hibernates while it is idle; events are kept in the object's SQLite for a
//! while, so that a client that comes back gets exactly what it missed, in order, or is told that something is gone.
//! Over the same socket it calls the object's procedures, those that its token allows.
//!
//! # An object
//!
//! An object is a struct with a [`Channel`], and `new`. [`durable_object!`] exports it as a class:
//!
//! ```
//! use durable_event_iterator::{Call, Channel, DurableEventIteratorObject, Procedures, Result, RpcMethods, durable_object};
//! use serde::{Deserialize, Serialize};
//! use worker::Env;
//!
//! #[derive(Serialize, Deserialize)]
//! pub struct Message {
//!     message: String,
//! }
//!
//! pub struct Chat {
//!     channel: Channel<Message>,
//! }
//!
//! impl DurableEventIteratorObject for Chat {
//!     type Channel = Channel<Message>;
//!
//!     fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
//!         Ok(Self { channel })
//!     }
//!
//!     // What clients may call over the socket, where their token lists it.
//!     fn procedures() -> Procedures<Self, Call<Self>> {
//!         Procedures::new().procedure("say", async |chat: &Self, _, message: Message| chat.channel.publish(&message))
//!     }
//!
//!     // What other Workers may call: `env.CHAT_ROOM.getByName("lobby").announce("We close at nine.")`.
//!     fn rpc_methods() -> RpcMethods<Self> {
//!         RpcMethods::new().method("announce", async |chat: &Self, (message,): (String,)| {
//!             chat.channel.publish(&Message { message })
//!         })
//!     }
//! }
//!
//! durable_object!(pub ChatRoom: Chat);
//! ```
//!
//! # The Worker in front of it
//!
//! A Worker hands the clients' upgrade requests over ([`Upgrade`]), and a server issues their tokens ([`Token`]):
//!
//! ```
//! use durable_event_iterator::{Result, Token, Upgrade, signing_keys_from_env};
//! use worker::{Context, Env, Request, Response};
//!
//! async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
//!     Upgrade::new(&env, "CHAT_ROOM").handle(request).await
//! }
//!
//! fn token(env: &Env, now_ms: u64) -> Result<String> {
//!     let token = Token::builder("lobby").attachment(&"anna").procedures(["say"]);
//!     Ok(token.sign(&signing_keys_from_env(env)?, now_ms)?)
//! }
//! ```
//!
//! Any other Worker publishes through the object's stub: in JavaScript `stub.publish(event)`, in Rust
//! [`ChannelStub::publish`].
//!
//! # For some, once, and with a state to begin with
//!
//! An event can be for some only, now and for those who come back ([`Audience`]). A publisher that may say something twice
//! gives it a key ([`Draft::key`]). Where the events build on a state, a client gets it in the turn in which it subscribes, so
//! that nothing falls between the two ([`on_subscribed`](DurableEventIteratorObject::on_subscribed)).
//!
//! ```
//! use durable_event_iterator::{Audience, Channel, EventId, Result};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Paid {
//!     order: u32,
//! }
//!
//! // To those whose token is tagged "staff"; once, although the payment's provider may call twice.
//! fn paid(channel: &Channel<Paid>, order: u32) -> Result<EventId> {
//!     let staff = Audience::everyone().tagged("staff");
//!     channel.draft(&Paid { order }).to(staff).key(format!("paid-{order}")).publish()
//! }
//! ```
//!
//! # Types
//!
//! Events, inputs and outputs are anything that serde serializes. [`Date`], [`BigInt`], [`Set`], [`Map`], [`Url`],
//! [`RegExp`], [`Blob`] and an application's own types ([`Custom`]) arrive in JavaScript as what they are there; [`Value`]
//! holds anything.
//!
//! # Errors
//!
//! One [`Error`] is both what a publish fails with and what a procedure answers. Any other error becomes
//! INTERNAL_SERVER_ERROR through `?`: it goes into the log, and nothing of it to a client.

mod channel;
mod error;
pub mod http;
mod object;
mod procedure;
mod runtime;
mod socket;
mod upgrade;

pub use channel::{
    Audience, Channel, ChannelStub, InvalidOption, IsChannel, Options, PublishOptions, Published, Transaction,
};
pub use durable_event_log::{EventId, InvalidEventId};
pub use durable_event_token::{
    ChannelName, Claims, ClientKind, ConnectionId, InvalidAttachment, InvalidChannelName,
    InvalidConnectionId, InvalidKey, PublishKey, SigningKey, SigningKeys, Token, TokenBuilder, TokenError,
};
pub use durable_event_wire::{
    BigInt, Blob, Code, Custom, Date, EventMeta, InvalidBigInt, InvalidDate, InvalidInput, InvalidRegExp,
    InvalidUrl, Issue, Map, Number, Object, PathSegment, RegExp, SerializeError, Set, Undefined, Url, Value,
    from_value, to_value,
};
pub use error::{Error, Result};
pub use object::{Call, DurableEventIteratorObject, Invocation, SocketOf, Subscribed};
pub use procedure::{Next, Procedures, Reply, RpcArguments, RpcMethods, StreamItem, Upload};
pub use socket::{Socket, Untyped};
pub use upgrade::{Upgrade, signing_keys_from_env};

/// For `durable_object!` alone.
#[doc(hidden)]
pub mod __private {
    pub use crate::object::{Arrival, Instance, Message};
    pub use js_sys;
    pub use wasm_bindgen;
    pub use wasm_bindgen_futures;
    pub use worker::{Env, worker_sys::DurableObjectState};

    /// Lets the class of `dummy` be one that stubs can call.
    pub fn extend<O: crate::DurableEventIteratorObject>(class: &str, dummy: wasm_bindgen::JsValue) {
        console_error_panic_hook::set_once();
        let methods: Vec<&str> = O::rpc_methods().names().collect();
        crate::runtime::extend(class, &dummy, &methods);
    }
}

/// Pages whose Rust examples are compiled as doctests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../README.md")]
    struct Readme;

    #[doc = include_str!("../../../docs/procedures.md")]
    struct Procedures;

    #[doc = include_str!("../../../docs/migrating-from-orpc.md")]
    struct MigratingFromOrpc;

    #[doc = include_str!("../../../docs/which-api.md")]
    struct WhichApi;
}
