//! The object: what an application implements, and the class around it.

pub(crate) mod calls;
mod class;
pub(crate) mod message;

#[doc(hidden)]
pub use class::{AnyHost, host};

use crate::{
    channel::IsChannel,
    error::Result,
    options::Options,
    procedure::{Next, Procedures, Reply},
};
use futures_util::future::AbortHandle;
use std::{collections::BTreeMap, future::Future};
use worker::Env;

/// A Durable Object whose events clients iterate over.
///
/// The minimum is a struct with a channel, and `new`:
///
/// ```
/// use durable_event_iterator::{Channel, DurableEventIteratorObject};
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
///     fn new(channel: Self::Channel, _env: Env) -> Self {
///         Self { channel }
///     }
/// }
///
/// durable_event_iterator::durable_object!(pub Ticker: Ticks);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no object that clients can iterate over",
    label = "does not implement `DurableEventIteratorObject`",
    note = "give it a field of type `Channel<Event>` and implement `DurableEventIteratorObject` for it: the type of the channel, and `new`"
)]
pub trait DurableEventIteratorObject: Sized + 'static {
    /// The object's channel, with the types of its events and attachments.
    type Channel: IsChannel;

    /// Makes the object: when it is first reached, and whenever it wakes. What must last belongs into storage.
    fn new(channel: Self::Channel, env: Env) -> Self;

    /// How it behaves.
    fn options(_env: &Env) -> Options {
        Options::default()
    }

    /// What clients may call over their socket, where their token lists it.
    fn procedures() -> Procedures<Self, Call<Self>> {
        Procedures::new()
    }

    /// What Workers that hold a stub may call, besides `publish`: `stub.rename("Lobby")`. The arguments are the
    /// input, as a tuple. No token is involved.
    fn methods() -> Procedures<Self, StubCall> {
        Procedures::new()
    }

    /// Stands around every call of a client whose token allows it: to log, to measure, to authorise.
    ///
    /// ```
    /// # use durable_event_iterator::{Channel, DurableEventIteratorObject, Invocation, Next, Reply, Result, Value};
    /// # struct Room;
    /// # impl DurableEventIteratorObject for Room {
    /// #     type Channel = Channel<Value>;
    /// #     fn new(_: Self::Channel, _: worker::Env) -> Self { Self }
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

    /// The object's alarm has gone off. Not called where [`Options::prune_by_alarm`] gave it to the library.
    ///
    /// # Errors
    /// After an error the platform tries again, with increasing delays.
    fn alarm(&self) -> impl Future<Output = Result<()>> {
        async { Ok(()) }
    }
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

/// The context of a call by a Worker that holds a stub.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StubCall {}
