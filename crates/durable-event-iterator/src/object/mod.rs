//! The object: what an application implements, and the class around it.

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
pub use self::instance::{Arrival, Instance, extend};
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

/// A Durable Object whose events clients iterate over.
///
/// The minimum is a struct with a channel, and `new`:
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
    /// The object's channel, with the types of its events and attachments.
    type Channel: IsChannel;

    /// Constructs the object on first access and after hibernation. Keep durable state in storage.
    ///
    /// # Errors
    /// The request that woke the Durable Object fails with the error, and the next one constructs the object again.
    fn new(channel: Self::Channel, env: Env) -> Result<Self>;

    /// How it behaves.
    fn options(_env: &Env) -> Options {
        Options::default()
    }

    /// What clients may call over their socket, where their token lists it.
    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
    }

    /// The RPC methods that Workers may call on a stub, besides `publish`: `stub.rename("Lobby")`. No token is involved.
    fn rpc_methods() -> RpcMethods<Self> {
        RpcMethods::new()
    }

    /// Stands around every call of a client whose token allows it: to log, to measure, to authorise.
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
    /// What the client is to get instead of an answer.
    fn intercept(
        &self,
        _invocation: Invocation<Self>,
        next: Next<'_>,
    ) -> impl Future<Output = Result<Reply>> {
        next.run()
    }

    /// A client has subscribed: it has what it missed, and from now on gets what is published. Called once for each
    /// `/subscribe` that has got there, also when a client comes back; not when the object wakes.
    ///
    /// Nothing comes between the last event that the client missed, what this sends to it, and the first event that is
    /// published later: so a client whose state is more than the retained events ([`Subscribed::send_snapshot`]) loads it and
    /// subscribes in one, without a hole. Hence it is no `async fn`; the storage's SQL is synchronous too.
    ///
    /// ```
    /// use durable_event_iterator::{Channel, DurableEventIteratorObject, Options, Result, Subscribed};
    /// use serde::{Deserialize, Serialize};
    /// use worker::Env;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// #[serde(tag = "type", rename_all = "camelCase")]
    /// pub enum Entry {
    ///     /// What a client begins with.
    ///     Snapshot { items: Vec<String> },
    ///     /// What is added to it.
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
    ///         let rows = self.channel.storage().sql().exec("SELECT item FROM items", None)?;
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
    ///     // The snapshot takes the place of the events that are retained.
    ///     fn options(_env: &Env) -> Options {
    ///         Options::default().begin_with_snapshot()
    ///     }
    ///
    ///     fn on_subscribed(&self, client: &Subscribed<Self>) -> Result<()> {
    ///         if client.is_resumed() {
    ///             return Ok(()); // it has had everything since it was last here
    ///         }
    ///         client.send_snapshot([Entry::Snapshot { items: self.items()? }])
    ///     }
    /// }
    /// ```
    ///
    /// What it publishes, it publishes in order: the client itself gets it too, before or after its snapshot as the calls
    /// are. Send the snapshot first: a client whose connection breaks between the two resumes after the last event it has got.
    ///
    /// # Errors
    /// Its client's subscription ends with the error (INTERNAL_SERVER_ERROR without a text, if it is none of oRPC's), and the
    /// log has it. oRPC's clients subscribe anew after it, by default 2 s later, so this is called again. To keep a
    /// client out, refuse its upgrade ([`Upgrade::inspect`](crate::Upgrade::inspect)).
    fn on_subscribed(&self, _client: &Subscribed<Self>) -> Result<()> {
        Ok(())
    }

    /// Handles the Durable Object's alarm.
    ///
    /// A Durable Object has one alarm. By default the library uses it to delete expired events
    /// ([`Options::prune_by_alarm`]). A class that overrides this method has the alarm to itself: set it with
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

/// Whether a class overrides [`alarm`](DurableEventIteratorObject::alarm). The types of futures have no identity that could be
/// compared, as they may borrow; their names have.
fn overrides_alarm<O: DurableEventIteratorObject>() -> bool {
    fn name<'a, O: 'a, F>(_: impl FnOnce(&'a O) -> F) -> &'static str {
        std::any::type_name::<F>()
    }
    name(O::alarm) != std::any::type_name::<LibraryAlarm>()
}

/// The socket type of an object.
pub type SocketOf<O> = <<O as DurableEventIteratorObject>::Channel as IsChannel>::Socket;

/// A call, as [`DurableEventIteratorObject::intercept`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Invocation<O: DurableEventIteratorObject> {
    /// The procedure's path, such as `["router", "ping"]`.
    pub path: Vec<String>,
    /// Its context.
    pub call: Call<O>,
}

/// The context of a call over the socket.
#[non_exhaustive]
pub struct Call<O: DurableEventIteratorObject> {
    /// Who calls.
    pub socket: SocketOf<O>,
    /// What the client sent as `last-event-id`, when it resumes a stream of its own.
    pub last_event_id: Option<String>,
    /// The call's headers, with names in lower case.
    pub headers: BTreeMap<String, Vec<String>>,
    pub(crate) handle: AbortHandle,
}

impl<O: DurableEventIteratorObject> Call<O> {
    /// Whether the client has aborted the call, or closed its socket.
    ///
    /// A procedure need not ask: its future, or the stream that it answered with, is dropped then. This is for work
    /// that it has left running on its own.
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
    fn an_overridden_alarm_is_noticed() {
        assert!(!overrides_alarm::<Default>());
        assert!(overrides_alarm::<Overriding>());
    }
}
