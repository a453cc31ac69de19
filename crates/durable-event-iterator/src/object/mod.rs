//! The application's Durable Object: the trait that it implements, and the class that the Workers runtime sees.

#[cfg(target_arch = "wasm32")]
mod embedding;
mod host;
#[cfg(target_arch = "wasm32")]
mod instance;
mod macros;
pub(crate) mod routing;
pub(crate) mod running_calls;
mod subscribed;

#[cfg(not(target_arch = "wasm32"))]
pub use self::host::{NativeInstance, Rejected};
#[cfg(target_arch = "wasm32")]
pub use self::{
    embedding::{Core, extend_core},
    instance::{Arrival, Instance, extend},
};
pub use subscribed::Subscribed;

use crate::{
    channel::{IsChannel, options::Options},
    error::Result,
    procedure::{Next, Procedures, Reply, RpcMethods},
};
use futures_util::future::AbortHandle;
use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use worker::Env;

/// A custom Durable Object that publishes events to clients.
///
/// Implement it for a struct that holds the [`Channel`](crate::Channel), and export the class with
/// [`durable_object!`](crate::durable_object). Only `Channel` and `new` are required:
///
/// ```
/// use durable_event_iterator::{Channel, DurableEventIteratorObject, Result};
/// use serde::{Deserialize, Serialize};
/// use worker::Env;
///
/// #[derive(Serialize, Deserialize)]
/// pub struct Tick {
///     price: f64,
/// }
///
/// pub struct Ticks {
///     channel: Channel<Tick>,
/// }
///
/// impl DurableEventIteratorObject for Ticks {
///     type Channel = Channel<Tick>;
///
///     fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
///         Ok(Self { channel })
///     }
/// }
///
/// durable_event_iterator::durable_object!(pub Ticker: Ticks);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not implement `DurableEventIteratorObject`",
    label = "expected the type of a Durable Object",
    note = "implement `DurableEventIteratorObject` for it: the type `Channel`, such as `Channel<Event>`, and `new`"
)]
pub trait DurableEventIteratorObject: Sized + 'static {
    /// The channel, with the types of its events and attachments: `Channel<Event, TokenAttachment, SocketAttachment>`.
    type Channel: IsChannel;

    /// Constructs the Durable Object on first access and after hibernation. Keep durable state in storage.
    ///
    /// # Errors
    /// The request that woke the Durable Object fails with the returned error. The next request calls `new` again.
    fn new(channel: Self::Channel, env: Env) -> Result<Self>;

    /// Returns the options, such as limits and retention. Called once before each call of `new`.
    fn options(_env: &Env) -> Options {
        Options::default()
    }

    /// Returns the procedures, which clients call over their socket. A token must list a procedure to allow it.
    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
    }

    /// Returns the RPC methods, which Workers call on a stub without a token: `stub.rename("Lobby")`. `publish` is built in.
    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
    }

    /// Wraps every procedure call that the client's token allows, for example to log, measure or authorise calls.
    ///
    /// `next.run()` runs the procedure. If the procedure responds with a stream, it returns when the stream starts, not when
    /// it ends.
    ///
    /// ```
    /// # use durable_event_iterator::{Channel, DurableEventIteratorObject, Invocation, Next, Reply, Result, Value};
    /// # struct Room;
    /// # impl DurableEventIteratorObject for Room {
    /// #     type Channel = Channel<Value>;
    /// #     fn new(_: Self::Channel, _: worker::Env) -> Result<Self> { Ok(Self) }
    /// async fn intercept(&self, invocation: Invocation<Self>, next: Next<'_>) -> Result<Reply> {
    ///     let reply = next.run().await;
    ///     worker::console_log!("{} {}", invocation.path.join("."), if reply.is_ok() { "ok" } else { "failed" });
    ///     reply
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// The client receives the returned error as the response to its call.
    fn intercept(
        &self,
        _invocation: Invocation<Self>,
        next: Next<'_>,
    ) -> impl Future<Output = Result<Reply>> {
        next.run()
    }

    /// Handles a new subscription, after the missed events and before the first live event.
    ///
    /// Called once for each completed subscription, also when a client reconnects, but not when the Durable Object wakes from
    /// hibernation. Use it to send a snapshot of the state ([`Subscribed::send_snapshot`]) that later events build on:
    ///
    /// ```
    /// use durable_event_iterator::{Channel, DurableEventIteratorObject, Options, Result, Subscribed};
    /// use serde::{Deserialize, Serialize};
    /// use worker::Env;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// #[serde(tag = "type", rename_all = "camelCase")]
    /// pub enum Entry {
    ///     /// The whole list.
    ///     Snapshot { items: Vec<String> },
    ///     /// One new item.
    ///     Added { item: String },
    /// }
    ///
    /// pub struct List {
    ///     channel: Channel<Entry>,
    /// }
    ///
    /// impl List {
    ///     /// Stores an item and publishes it, atomically.
    ///     fn add(&self, item: String) -> Result<()> {
    ///         self.channel.transaction(|tx| {
    ///             tx.sql().exec("INSERT INTO items (item) VALUES (?)", vec![item.clone().into()])?;
    ///             tx.publish(&Entry::Added { item })?;
    ///             Ok(())
    ///         })
    ///     }
    ///
    ///     fn items(&self) -> Result<Vec<String>> {
    ///         #[derive(Deserialize)]
    ///         struct Row {
    ///             item: String,
    ///         }
    ///         let rows = self.channel.sql().exec("SELECT item FROM items", None)?;
    ///         Ok(rows.to_array::<Row>()?.into_iter().map(|row| row.item).collect())
    ///     }
    /// }
    ///
    /// impl DurableEventIteratorObject for List {
    ///     type Channel = Channel<Entry>;
    ///
    ///     fn new(channel: Self::Channel, _env: Env) -> Result<Self> {
    ///         Ok(Self { channel })
    ///     }
    ///
    ///     // Clients without a cursor start from the snapshot instead of the retained events.
    ///     fn options(_env: &Env) -> Options {
    ///         Options::default().begin_with_snapshot()
    ///     }
    ///
    ///     fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
    ///         if client.is_resumed() {
    ///             return Ok(()); // the client has received all missed events
    ///         }
    ///         client.send_snapshot([Entry::Snapshot { items: self.items()? }])
    ///     }
    /// }
    /// ```
    ///
    /// Events published here reach all subscribed clients, including this one, in the order of the calls. Send the snapshot
    /// before publishing: a client that disconnects between the two resumes after the last event that it received.
    ///
    /// # Errors
    /// The subscription ends with the returned error, and the error is logged. The client receives an error that is not an
    /// oRPC error as `INTERNAL_SERVER_ERROR`, without its message. oRPC's clients subscribe again, by default after 2 s, which
    /// calls this method again. To keep a client out, reject its upgrade ([`Upgrade::inspect`](crate::Upgrade::inspect)).
    ///
    /// # Why it is not async
    /// No other code runs between the last missed event, this method and the first live event, so the client misses no event
    /// between its snapshot and the live events. The storage's SQL API is synchronous too.
    fn on_subscribed(&self, _client: &Subscribed<Self>) -> Result<()> {
        Ok(())
    }

    /// Handles a socket that has closed, for whatever reason: the client or the Durable Object has closed it, its connection was lost,
    /// or it has failed.
    ///
    /// Called once for each accepted socket of a client, also if it was never subscribed, and also if it closed while the Durable
    /// Object hibernated, which wakes it. The socket is no longer among [`Channel::sockets`](crate::Channel::sockets); its attachments
    /// can be read during the call.
    ///
    /// ```
    /// # use durable_event_iterator::{Channel, DurableEventIteratorObject, Result, SocketOf};
    /// # struct Game { channel: Channel<serde_json::Value, Player> }
    /// # #[derive(serde::Serialize, serde::Deserialize)] struct Player { name: String }
    /// # impl DurableEventIteratorObject for Game {
    /// #     type Channel = Channel<serde_json::Value, Player>;
    /// #     fn new(channel: Self::Channel, _: worker::Env) -> Result<Self> { Ok(Self { channel }) }
    /// fn on_closed(&self, socket: &SocketOf<Self>) -> Result<()> {
    ///     let Player { name } = socket.token_attachment()?;
    ///     self.channel.publish(&serde_json::json!({ "offline": name })).map(drop)
    /// }
    /// # }
    /// ```
    ///
    /// Not called if the runtime ends without an orderly shutdown, or for a socket whose attachment this version of the code cannot
    /// read. Clients that lose their connection usually reconnect at once: to show who is connected, use
    /// [presence](crate::Options::presence), which waits for that.
    ///
    /// # Errors
    /// The returned error is logged.
    fn on_closed(&self, _socket: &SocketOf<Self>) -> Result<()> {
        Ok(())
    }

    /// Handles the Durable Object's alarm.
    ///
    /// A Durable Object has one alarm. By default the library uses it to delete expired events
    /// ([`Options::prune_by_alarm`]). If a class overrides this method, the library does not use the alarm: set it with
    /// `channel.storage().set_alarm(…)`, and call [`Channel::prune`](crate::Channel::prune) to delete expired events of a channel
    /// without new ones.
    ///
    /// # Errors
    /// After an error the Workers runtime runs the alarm again, with increasing delays.
    fn alarm(&self) -> impl Future<Output = Result<()>> {
        LibraryAlarm
    }
}

/// The future of an [`alarm`](DurableEventIteratorObject::alarm) that a class has not overridden.
struct LibraryAlarm;

impl Future for LibraryAlarm {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns whether a class overrides [`alarm`](DurableEventIteratorObject::alarm). It compares the names of the future types,
/// because a `TypeId` requires `'static` and these futures may borrow.
fn overrides_alarm<O: DurableEventIteratorObject>() -> bool {
    fn name<'a, O: 'a, F>(_: impl FnOnce(&'a O) -> F) -> &'static str {
        std::any::type_name::<F>()
    }
    name(O::alarm) != std::any::type_name::<LibraryAlarm>()
}

/// The [`Socket`](crate::Socket) type of a Durable Object, with the attachment types of its channel.
pub type SocketOf<O> = <<O as DurableEventIteratorObject>::Channel as IsChannel>::Socket;

/// A procedure call that [`DurableEventIteratorObject::intercept`] wraps.
#[derive(Debug)]
#[non_exhaustive]
pub struct Invocation<O: DurableEventIteratorObject> {
    /// The procedure's path, such as `["router", "ping"]`.
    pub path: Vec<String>,
    /// The call's context, which the procedure receives too.
    pub call: Call<O>,
}

/// The context of a procedure call: the client's socket, and the headers of the call.
#[non_exhaustive]
pub struct Call<O: DurableEventIteratorObject> {
    /// The socket of the calling client.
    pub socket: SocketOf<O>,
    /// The header `last-event-id`, which a client sends to resume the procedure's stream. It is not a cursor of the channel.
    pub last_event_id: Option<String>,
    /// The headers of the call. Names are in lower case.
    pub headers: BTreeMap<String, Vec<String>>,
    pub(crate) handle: AbortHandle,
}

impl<O: DurableEventIteratorObject> Call<O> {
    /// Returns whether the client has aborted the call or closed its socket.
    ///
    /// Use it in tasks that the procedure has spawned. The procedure itself does not need it: its future, or the stream that
    /// it returned, is dropped on an abort.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.handle.is_aborted()
    }
}

impl<O: DurableEventIteratorObject> Clone for Call<O> {
    fn clone(&self) -> Self {
        let Self { socket, last_event_id, headers, handle } = self;
        Self {
            socket: socket.clone(),
            last_event_id: last_event_id.clone(),
            headers: headers.clone(),
            handle: handle.clone(),
        }
    }
}

impl<O: DurableEventIteratorObject> std::fmt::Debug for Call<O> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("last_event_id", &self.last_event_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use durable_event_wire::Value;

    struct Default;

    impl DurableEventIteratorObject for Default {
        type Channel = Channel<Value>;

        fn new(_: Self::Channel, _: Env) -> Result<Self> {
            Ok(Self)
        }
    }

    struct Overriding;

    impl DurableEventIteratorObject for Overriding {
        type Channel = Channel<Value>;

        fn new(_: Self::Channel, _: Env) -> Result<Self> {
            Ok(Self)
        }

        async fn alarm(&self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_overridden_alarm_is_detected() {
        assert!(!overrides_alarm::<Default>());
        assert!(overrides_alarm::<Overriding>());
    }
}
