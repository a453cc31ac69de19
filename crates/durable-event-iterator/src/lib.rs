//! Durable, resumable event channels on Cloudflare Durable Objects, for [oRPC](https://orpc.dev) clients.
//!
//! A client opens a WebSocket to the Durable Object that its signed token names, with an unmodified oRPC client, and iterates over
//! the channel's events with `for await`. The socket hibernates while it is idle. The Durable Object stores events in SQLite for a
//! limited time: a reconnecting client receives the missed events in order, or a gap notification. Over the same socket, the client
//! calls the procedures that its token allows.
//!
//! # Durable Object
//!
//! Implement [`DurableEventIteratorObject`] for a struct with a [`Channel`]. [`durable_object!`] exports it as a class:
//!
//! ```
//! use durable_event_iterator::{
//!     Call, Channel, DurableEventIteratorObject, Procedures, Result, RpcMethods, durable_object,
//! };
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
//!     // Called by clients over the socket, if their token lists them.
//!     fn procedures() -> Procedures<Self, Call<Self>> {
//!         Procedures::new().procedure("say", async |chat: &Self, _, message: Message| chat.channel.publish(&message))
//!     }
//!
//!     // Called by other Workers: `env.CHAT_ROOM.getByName("lobby").announce("We close at nine.")`.
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
//! # Worker
//!
//! A Worker forwards the clients' upgrade requests ([`Upgrade`]), and a server issues their tokens ([`Token`]):
//!
//! ```
//! use durable_event_iterator::{Result, Token, Upgrade, now, signing_keys_from_env};
//! use worker::{
//!     Context, Env,
//!     web_sys::{Request, Response},
//! };
//!
//! async fn fetch(request: Request, env: Env, _context: Context) -> worker::Result<Response> {
//!     Upgrade::new(&env, "CHAT_ROOM").handle(&request).await
//! }
//!
//! fn token(env: &Env) -> Result<String> {
//!     let token = Token::builder("lobby").attachment(&"anna").procedures(["say"]);
//!     Ok(token.sign(&signing_keys_from_env(env)?, now())?)
//! }
//! ```
//!
//! Any other Worker publishes through the Durable Object's stub: in JavaScript with `stub.publish(event)`, in Rust with
//! [`ChannelStub::publish`].
//!
//! # Audiences, idempotency and snapshots
//!
//! [`PublishOptions`] restrict an event to an [`Audience`] and make a publish idempotent. Clients outside the audience never
//! receive the event, not even on replay. For clients whose events build on a state,
//! [`on_subscribed`](DurableEventIteratorObject::on_subscribed) sends that state atomically with the subscription.
//!
//! ```
//! use durable_event_iterator::{Audience, Channel, PublishOptions, Published, Result};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Paid {
//!     order: u32,
//! }
//!
//! // To clients whose token is tagged "staff"; once, even if the payment provider calls twice.
//! fn paid(channel: &Channel<Paid>, order: u32) -> Result<Published> {
//!     let staff = Audience::everyone().tagged("staff");
//!     let options = PublishOptions::new().to(staff).idempotency_key(format!("paid-{order}"));
//!     channel.publish_with(&Paid { order }, options)
//! }
//! ```
//!
//! # Types
//!
//! Events, inputs and outputs are any types that serde serializes. [`Date`], [`BigInt`], [`Set`], [`Map`], [`Url`],
//! [`RegExp`], [`Blob`] and custom types ([`Custom`]) arrive in JavaScript as their counterparts; [`Value`] holds any value.
//!
//! With the feature `typescript`, the module `typescript` generates the TypeScript interface of a Durable Object in a native
//! test.
//!
//! # Errors
//!
//! Publishing and procedures fail with an [`Error`]. `?` converts any other error to INTERNAL_SERVER_ERROR: its text goes to the
//! log, and never to a client.
//!
//! # Crates
//!
//! | crate | contents |
//! | --- | --- |
//! | `durable-event-test` | the test kit: runs a Durable Object in native unit tests |
//! | `durable-event-token` | issuing and verifying tokens, in any Rust server |
//! | `durable-event-wire` | oRPC's wire format: values and messages |
//! | `durable-event-log` | the event log in SQLite |

mod channel;
mod counters;
mod error;
pub mod http;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod object;
mod path;
mod presence;
mod procedure;
mod runtime;
mod socket;
mod sql;
mod time;
mod typed;
#[cfg(all(feature = "typescript", not(target_arch = "wasm32")))]
pub mod typescript;
mod upgrade;

pub use channel::{
    Audience, Channel, ChannelStats, ChannelStub, Connection, ConnectionState, ConnectionsPage,
    ConnectionsQuery, EventPage, InvalidOption, IsChannel, Options, PublishOptions, Published, ReadEvent,
    ReadOptions, Received, RetainedEvents, Revocation, SegmentStats, StatsQuery, Subscription,
    TimelineBucket, Transaction,
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
pub use presence::{Member, Presence, PresenceEvent, PresenceMember};
pub use procedure::{Next, Procedures, Reply, RpcArguments, RpcMethods, StreamItem, Upload};
pub use socket::{Socket, Untyped};
pub use sql::{Sql, SqlRows};
pub use time::now;
pub use typed::Typed;
pub use upgrade::{Upgrade, signing_keys_from_env};
pub use worker::SqlStorageValue;

/// For `durable_object!` and the core of the npm package alone.
#[doc(hidden)]
pub mod __private {
    #[cfg(target_arch = "wasm32")]
    pub use self::class::*;

    #[cfg(target_arch = "wasm32")]
    mod class {
        pub use crate::{
            object::{Arrival, Core, Instance, extend, extend_core},
            runtime::Message,
        };
        pub use js_sys;
        pub use wasm_bindgen;
        pub use wasm_bindgen_futures;
        pub use worker::{Env, worker_sys::DurableObjectState};
    }

    /// Whether `O` can be a class.
    pub const fn is_object<O: crate::DurableEventIteratorObject>() {}
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

    #[doc = include_str!("../../../docs/http.md")]
    struct Http;

    #[doc = include_str!("../../../docs/presence.md")]
    struct PresencePage;
}
