//! The stub of a channel, for other Workers in Rust.

use crate::{
    channel::{
        Audience, ChannelStats, ConnectionsPage, ConnectionsQuery, EventPage, PublishOptions, Published,
        ReadOptions, Revocation, StatsQuery, Subscription, event_body, reading,
        rpc_options::{
            BatchCall, RpcOptions,
            removal::{DisconnectOptions, RevokeOptions},
        },
    },
    error::{Code, Error, Failure, Result},
    runtime::{self, Infinity, Stub},
};
use durable_event_log::EventId;
use durable_event_token::ChannelName;
use durable_event_wire::{Serialized, Value, from_value, parse, serialize, to_value};
use js_sys::Array;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fmt;
use wasm_bindgen::{JsCast, JsValue};
use worker::Env;

/// A stub of a channel's Durable Object, with which another Worker publishes and calls RPC methods.
///
/// ```
/// use durable_event_iterator::{ChannelStub, EventId, Result};
/// use serde::Serialize;
/// use worker::Env;
///
/// #[derive(Serialize)]
/// struct Message<'a> {
///     message: &'a str,
/// }
///
/// async fn announce(env: &Env) -> Result<EventId> {
///     let room = ChannelStub::new(env, "CHAT_ROOM", "some-room")?;
///     room.publish(&Message { message: "We close at nine." }).await
/// }
/// ```
#[derive(Clone)]
pub struct ChannelStub(Stub);

impl fmt::Debug for ChannelStub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelStub(..)")
    }
}

impl ChannelStub {
    /// Returns the stub of a channel. `binding` is the name of the Durable Object namespace's binding, `channel` the channel
    /// name.
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid channel name, INTERNAL_SERVER_ERROR if the binding does not exist.
    pub fn new(env: &Env, binding: &str, channel: &str) -> Result<Self> {
        Self::placed(env, binding, channel, None, None)
    }

    /// Returns the stub of a channel, with a location hint for a Durable Object that does not exist yet, and a jurisdiction:
    /// see [`Upgrade::location_hint`](crate::Upgrade::location_hint) and
    /// [`Upgrade::jurisdiction`](crate::Upgrade::jurisdiction).
    ///
    /// # Errors
    /// The errors of [`ChannelStub::new`], and INTERNAL_SERVER_ERROR for an unknown jurisdiction.
    pub fn placed(
        env: &Env,
        binding: &str,
        channel: &str,
        location_hint: Option<&str>,
        jurisdiction: Option<&str>,
    ) -> Result<Self> {
        // No client could receive the events of a channel whose name is invalid in a token.
        let channel = ChannelName::try_from(channel)
            .map_err(|error| Error::new(Code::BadRequest).message(error.to_string()))?;
        let namespace = env.durable_object(binding)?;
        let namespace: &JsValue = namespace.as_ref();
        Ok(Self(runtime::stub(namespace, channel.as_str(), location_hint, jurisdiction)?))
    }

    /// Returns the stub of a channel whose name has been checked.
    pub(crate) const fn of(stub: Stub) -> Self {
        Self(stub)
    }

    /// Publishes an event to everyone and returns its id.
    ///
    /// # Errors
    /// The errors of [`Channel::publish`](crate::Channel::publish), with code, status, message and data, at every compatibility
    /// date; and an error if the Durable Object cannot be reached. In the latter case the event may have been stored: with an
    /// [idempotency key](PublishOptions::idempotency_key) a retry is safe.
    pub async fn publish<E: Serialize + ?Sized>(&self, event: &E) -> Result<EventId> {
        Ok(self.publish_with(event, PublishOptions::new()).await?.id)
    }

    /// Publishes an event with [`PublishOptions`]: to an [`Audience`](crate::Audience), with meta, or with an idempotency key.
    ///
    /// Sockets without a connection id in the audience are ignored, because the Durable Object cannot identify them.
    ///
    /// # Errors
    /// The errors of [`ChannelStub::publish`], [`Error::is_invalid_meta`] and [`Error::is_invalid_key`].
    pub async fn publish_with<E: Serialize + ?Sized>(
        &self,
        event: &E,
        options: impl Into<PublishOptions>,
    ) -> Result<Published> {
        // The serialized form preserves all types of the wire, including custom types.
        let Serialized { json, meta, .. } = event_body(event)?;
        let body = js_sys::Object::new();
        for (key, half) in [("json", json), ("meta", meta)] {
            if let Some(text) = half {
                js_sys::Reflect::set(&body, &key.into(), &text.into()).map_err(runtime::JsError::from)?;
            }
        }
        let options = runtime::value::from_wire(&serialize(&RpcOptions::from(&options.into()))?)?;
        let published = self.0.call("publish", &Array::of2(&body, &options)).await.map_err(error_of)?;
        let part = |key: &str| js_sys::Reflect::get(&published, &key.into()).unwrap_or_default();
        let id = part("id").as_string().unwrap_or_default().parse()?;
        Ok(Published { id, is_duplicate: part("duplicate").is_truthy() })
    }

    /// Publishes events to everyone, in order, all or none, and returns their ids.
    ///
    /// One call for many events takes less time than a call for each.
    ///
    /// # Errors
    /// The errors of [`ChannelStub::publish`] and [`Channel::publish_batch`](crate::Channel::publish_batch).
    pub async fn publish_batch<'e, E: Serialize + ?Sized + 'e>(
        &self,
        events: impl IntoIterator<Item = &'e E>,
    ) -> Result<Vec<EventId>> {
        let events = events.into_iter().map(|event| (event, PublishOptions::new()));
        let published = self.publish_batch_with(events).await?;
        Ok(published.into_iter().map(|published| published.id).collect())
    }

    /// Publishes events in order, each with its own [`PublishOptions`] or [`Audience`](crate::Audience), all or none.
    ///
    /// Sockets without a connection id in an audience are ignored, because the Durable Object cannot identify them.
    ///
    /// # Errors
    /// The errors of [`ChannelStub::publish_with`] and [`Channel::publish_batch_with`](crate::Channel::publish_batch_with).
    pub async fn publish_batch_with<'e, E: Serialize + ?Sized + 'e, O: Into<PublishOptions>>(
        &self,
        events: impl IntoIterator<Item = (&'e E, O)>,
    ) -> Result<Vec<Published>> {
        let events = events.into_iter().map(|(event, options)| (event, options.into()));
        let BatchCall { events, options } = BatchCall::of(events)?;
        let published: Vec<RemotePublished> = self.call("publishBatch", (&events, &options)).await?;
        let published = published.into_iter().map(|RemotePublished { id, duplicate }| {
            Ok(Published { id: id.parse()?, is_duplicate: duplicate })
        });
        published.collect()
    }

    /// Reads a page of retained events.
    ///
    /// A Worker with a binding of the namespace is trusted: it needs no token.
    ///
    /// ```
    /// use durable_event_iterator::{ChannelStub, EventId, ReadOptions, Result};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Message {
    ///     message: String,
    /// }
    ///
    /// async fn newest(room: &ChannelStub) -> Result<Option<String>> {
    ///     let page = room.read::<Message>(&ReadOptions::new().last(1)).await?;
    ///     Ok(page.events.into_iter().next().map(|read| read.event.message))
    /// }
    /// ```
    ///
    /// # Errors
    /// BAD_REQUEST for invalid options, and an error if the Durable Object cannot be reached or an event is not an `E`.
    pub async fn read<E: DeserializeOwned>(&self, options: &ReadOptions) -> Result<EventPage<E>> {
        reading::read(&self.0, options).await
    }

    /// Subscribes to the channel and returns a [`Stream`](futures_util::Stream) of its events.
    ///
    /// The subscription reconnects and resumes by itself, with increasing delays. While no events arrive, the Durable Object
    /// hibernates; the Worker does not. Events that the Worker has not read wait in the Durable Object's log.
    ///
    /// ```
    /// use durable_event_iterator::{ChannelStub, ReadOptions, Received, Result};
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize)]
    /// struct Message {
    ///     message: String,
    /// }
    ///
    /// async fn first_greeting(room: &ChannelStub) -> Result<Option<String>> {
    ///     let mut events = room.subscribe::<Message>(&ReadOptions::new()).await?;
    ///     while let Some(received) = events.next().await {
    ///         match received? {
    ///             Received::Event(read) if read.event.message.starts_with("Hello") => return Ok(Some(read.event.message)),
    ///             Received::Event(_) => {}
    ///             Received::Gap(_) => {} // missed events are no longer retained
    ///         }
    ///     }
    ///     Ok(None)
    /// }
    /// ```
    ///
    /// # Errors
    /// BAD_REQUEST for invalid options, and an error if the Durable Object cannot be reached or rejects the subscription.
    pub async fn subscribe<E: DeserializeOwned + 'static>(
        &self,
        options: &ReadOptions,
    ) -> Result<Subscription<E>> {
        reading::subscribe(&self.0, options).await
    }

    /// Closes the sockets of the connected clients in an [`Audience`], as [`Channel::disconnect`](crate::Channel::disconnect) does.
    ///
    /// Sockets without a connection id in the audience are ignored, because the Durable Object cannot identify them.
    ///
    /// # Errors
    /// The errors of [`Channel::disconnect`](crate::Channel::disconnect), and an error if the Durable Object cannot be reached.
    pub async fn disconnect(&self, audience: &Audience, reason: &str) -> Result<usize> {
        match DisconnectOptions::write(audience, reason) {
            Some(options) => self.remove("~disconnect", &options).await,
            None => Ok(0), // it addresses nobody
        }
    }

    /// Revokes tokens, as [`Channel::revoke`](crate::Channel::revoke) does.
    ///
    /// # Errors
    /// The errors of [`Channel::revoke`](crate::Channel::revoke), and an error if the Durable Object cannot be reached.
    pub async fn revoke(&self, revocation: &Revocation, reason: &str) -> Result<usize> {
        self.remove("~revoke", &RevokeOptions::write(revocation, reason)).await
    }

    /// Calls a method that closes sockets, and returns their number.
    async fn remove(&self, method: &str, options: &Value) -> Result<usize> {
        #[derive(Deserialize)]
        struct Removed {
            disconnected: usize,
        }
        let removed: Removed = self.trusted(method, options).await?;
        Ok(removed.disconnected)
    }

    /// Returns the numbers of the channel, as [`Channel::stats`](crate::Channel::stats) does.
    ///
    /// ```
    /// use durable_event_iterator::{ChannelStub, ConnectionState, ConnectionsQuery, Result, StatsQuery};
    ///
    /// /// Returns the number of events of the busiest of 60 buckets, and of the slow clients among the first 100.
    /// async fn report(list: &ChannelStub) -> Result<(u64, usize)> {
    ///     let stats = list.stats(&StatsQuery::new().timeline(60)).await?;
    ///     let busiest = stats.timeline.iter().flatten().map(|bucket| bucket.events).max().unwrap_or_default();
    ///     let page = list.connections(&ConnectionsQuery::new()).await?;
    ///     let parked = |state: Option<ConnectionState>| state == Some(ConnectionState::Parked);
    ///     Ok((busiest, page.connections.iter().filter(|each| parked(each.subscription)).count()))
    /// }
    /// ```
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, and an error if the Durable Object cannot be reached.
    pub async fn stats(&self, query: &StatsQuery) -> Result<ChannelStats> {
        self.trusted("~stats", query).await
    }

    /// Returns a page of the open sockets of clients, as [`Channel::connections`](crate::Channel::connections) does.
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, and an error if the Durable Object cannot be reached.
    pub async fn connections(&self, query: &ConnectionsQuery) -> Result<ConnectionsPage> {
        self.trusted("~connections", query).await
    }

    /// Calls a trusted method (see `object/host/trusted/mod.rs`), whose result is JSON text.
    pub(super) async fn trusted<R: DeserializeOwned>(
        &self,
        method: &str,
        argument: &impl Serialize,
    ) -> Result<R> {
        let argument = runtime::value::from_wire(&serialize(argument)?)?;
        let json = self.0.call(method, &Array::of1(&argument)).await.map_err(error_of)?;
        let json = json.as_string().unwrap_or_default();
        Ok(serde_json::from_str(&json).map_err(UnexpectedOutput::of)?)
    }

    /// Calls an [RPC method](crate::DurableEventIteratorObject::rpc_methods) of the Durable Object and returns its output. The
    /// arguments are a tuple: `("Lobby",)` for one, `()` for none.
    ///
    /// # Errors
    /// The method's error with code, status, message and data, at every compatibility date; and an error if the Durable Object
    /// cannot be reached, if `arguments` is not a tuple, or if the output is not an `R`.
    pub async fn call<A: Serialize, R: DeserializeOwned>(&self, method: &str, arguments: A) -> Result<R> {
        let arguments = match to_value(&arguments)? {
            Value::Undefined | Value::Null => Value::Array(Vec::new()), // the unit type
            arguments => arguments,
        };
        let arguments = runtime::value::from_wire(&serialize(&arguments)?)?;
        let arguments = arguments
            .dyn_into::<Array>()
            .map_err(|_| runtime::JsError::new(format!("the arguments of `{method}` must be a tuple")))?;
        let output = self.0.call(method, &arguments).await.map_err(error_of)?;
        let output = runtime::value::to_wire(&output, MAX_OUTPUT_BYTES, Infinity::Null)
            .map_err(UnexpectedOutput::of)?;
        let output = parse(output.json.as_deref(), output.meta.as_deref()).map_err(UnexpectedOutput::of)?;
        Ok(from_value(output).map_err(UnexpectedOutput::of)?)
    }
}

/// An item of the output of `publishBatch`.
#[derive(Deserialize)]
struct RemotePublished {
    id: String,
    duplicate: bool,
}

/// Maximum size of an RPC method's output in bytes of JSON: the limit of the Workers runtime for an RPC call.
const MAX_OUTPUT_BYTES: usize = 32 * 1024 * 1024;

/// The error for an output that is not of the requested type. It becomes INTERNAL_SERVER_ERROR, because it is not about a
/// client's input.
#[derive(Debug)]
struct UnexpectedOutput(String);

impl UnexpectedOutput {
    fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for UnexpectedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the RPC method's output is not of the requested type: {}", self.0)
    }
}

impl std::error::Error for UnexpectedOutput {}

/// Converts an exception of the Durable Object, or a value with its properties. If it is not an oRPC error, its text does not
/// reach clients.
pub(crate) fn error_of(thrown: JsValue) -> Error {
    let part = |key: &str| js_sys::Reflect::get(&thrown, &key.into()).unwrap_or_default();
    let text = |key: &str| part(key).as_string();
    match (text("name").as_deref(), text("code"), text("message")) {
        (Some("ORPCError"), Some(code), Some(message)) => {
            let status =
                part("status").as_f64().map_or(Code::InternalServerError.status(), |status| status as u16);
            let data = runtime::value::to_wire(&part("data"), MAX_OUTPUT_BYTES, Infinity::Null).ok();
            let data = data.filter(|data| data.json.is_some());
            let data = data.and_then(|data| parse(data.json.as_deref(), data.meta.as_deref()).ok());
            let failure = text("failure").as_deref().and_then(Failure::from_name);
            Error::remote(code, status, message, data, failure)
        }
        _ => runtime::JsError::from(thrown).into(),
    }
}
