//! The channel: publishing, and who is connected.

pub(crate) mod audience;
mod core;
pub(crate) mod options;
mod publish_options;
mod replay_row;
pub(crate) mod rpc_options;
mod stub;
pub(crate) mod subscription;
pub(crate) mod transaction;

pub(crate) use self::core::{ChannelCore, MICROS_PER_MILLI};
pub use self::{
    audience::Audience,
    options::{InvalidOption, Options},
    publish_options::{PublishOptions, Published},
    stub::ChannelStub,
    transaction::Transaction,
};

use crate::{
    error::{Error, PublishError, Result},
    runtime::RawSocket,
    socket::{Socket, Untyped},
    time::from_millis,
};
use durable_event_log::EventId;
use durable_event_token::ChannelName;
use durable_event_wire::{Serialized, serialize};
use serde::{Serialize, de::DeserializeOwned};
use std::{marker::PhantomData, rc::Rc, time::SystemTime};

/// Types that a handle is of, without holding any.
type Types<E, T, S> = fn() -> (E, T, S);

/// The events of one object, with their type `E`, the type `T` of the attachment of its clients' tokens, and the type
/// `S` of what the application keeps with a socket.
///
/// ```
/// use durable_event_iterator::{Channel, EventId, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Tick {
///     price: f64,
/// }
///
/// fn tick(channel: &Channel<Tick>, price: f64) -> Result<EventId> {
///     channel.publish(&Tick { price })
/// }
/// ```
pub struct Channel<E, T = Untyped, S = Untyped> {
    core: Rc<ChannelCore>,
    types: PhantomData<Types<E, T, S>>,
}

impl<E, T, S> Clone for Channel<E, T, S> {
    fn clone(&self) -> Self {
        Self { core: Rc::clone(&self.core), types: PhantomData }
    }
}

impl<E, T, S> std::fmt::Debug for Channel<E, T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel(..)")
    }
}

impl<E: Serialize, T, S> Channel<E, T, S> {
    /// Publishes an event to everyone: connected clients, and clients that reconnect within retention. Returns its id.
    ///
    /// Synchronous: when it returns, the event is stored and sent. Nobody outside receives it before it is durable. Inside a
    /// transaction ([`Channel::transaction`], or any other transaction of the storage) it is sent after the commit.
    ///
    /// # Errors
    /// [`Error::is_event_too_large`], [`Error::is_event_not_an_object`], [`Error::is_not_serializable`], and
    /// [`Error::is_storage_failure`]. After each of them nothing has changed.
    pub fn publish(&self, event: &E) -> Result<EventId> {
        Ok(self.publish_with(event, PublishOptions::new())?.id)
    }

    /// Publishes an event with options: to an [`Audience`], with meta, with an idempotency key. An [`Audience`] alone converts
    /// into options. Clients outside the audience never receive the event, not even on replay.
    ///
    /// # Errors
    /// As [`Channel::publish`]; also [`Error::is_invalid_meta`] and [`Error::is_invalid_key`].
    pub fn publish_with(&self, event: &E, options: impl Into<PublishOptions>) -> Result<Published> {
        let options = options.into();
        let body = event_body(event)?;
        self.core.publish(&body, &options)
    }

    /// Sends an event to these sockets alone, now. It is not stored, has no id and is never replayed: for what only
    /// matters to who is there, such as "is typing".
    ///
    /// # Errors
    /// As [`Channel::publish`], except for the storage. A socket that has closed is no error.
    ///
    /// Inside a transaction it waits for the commit, as events do.
    pub fn send_live<'s>(&self, sockets: impl IntoIterator<Item = &'s Socket<T, S>>, event: &E) -> Result<()>
    where
        T: 's,
        S: 's,
    {
        let body = event_body(event)?;
        let sockets: Vec<RawSocket> = sockets.into_iter().map(|socket| socket.raw().clone()).collect();
        self.core.send_on_commit(None, move |core| {
            sockets.iter().for_each(|socket| subscription::send_live(core, socket, &body));
        })
    }
}

impl<E, T, S> Channel<E, T, S> {
    pub(crate) fn from_core(core: Rc<ChannelCore>) -> Self {
        Self { core, types: PhantomData }
    }

    pub(crate) fn core(&self) -> &ChannelCore {
        &self.core
    }

    /// Returns the name of the channel, which is the name of its Durable Object.
    ///
    /// `None` if the Workers runtime does not state it: for a Durable Object of `newUniqueId`, and, until the first client has
    /// connected, for one that was reached through another `wrangler dev` process.
    #[must_use]
    pub fn name(&self) -> Option<ChannelName> {
        self.core.identity.name().and_then(|name| name.try_into().ok())
    }

    /// The sockets that are open, subscribed or not.
    ///
    /// # Errors
    /// When the platform refuses to list them.
    pub fn sockets(&self) -> Result<Vec<Socket<T, S>>> {
        let sockets = self.core.hub.sockets()?;
        // One whose session cannot be read has closed, or is closed by that.
        let sessions = &self.core.sessions;
        let socket = |raw: RawSocket| {
            let connection = sessions.read(&raw).ok()?.connection.clone();
            Some(Socket::new(Rc::clone(sessions), connection, raw))
        };
        Ok(sockets.into_iter().filter_map(socket).collect())
    }

    /// The sockets that are open, subscribed or not, and fulfil a condition: whom an event is for
    /// ([`Audience::to_sockets`]), or not for ([`Audience::except_sockets`]). It is asked now, of who is connected now.
    ///
    /// ```
    /// use durable_event_iterator::{Audience, Channel, Published, Result};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Region(String);
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Warning {
    ///     text: String,
    /// }
    ///
    /// // To clients in Europe, now and when they reconnect.
    /// fn warn(channel: &Channel<Warning, (), Region>, warning: Warning) -> Result<Published> {
    ///     let europe = channel.sockets_where(|socket| {
    ///         socket.attachment().is_ok_and(|region| region.is_some_and(|Region(region)| region == "eu"))
    ///     })?;
    ///     channel.publish_with(&warning, Audience::everyone().to_sockets(&europe))
    /// }
    /// ```
    ///
    /// # Errors
    /// When the platform refuses to list them.
    pub fn sockets_where(&self, condition: impl FnMut(&Socket<T, S>) -> bool) -> Result<Vec<Socket<T, S>>> {
        let mut sockets = self.sockets()?;
        sockets.retain(condition);
        Ok(sockets)
    }

    /// The object's storage, for the application's own data. The library's tables start with
    /// [`Options::table_prefix`](crate::Options::table_prefix).
    ///
    /// `delete_all` deletes the events too. Every client that resumes from before it, or has an older token, then receives a
    /// gap notification. For that a channel that had events keeps an empty table and a view, a few kilobytes of storage;
    /// [`Channel::erase`] leaves nothing.
    #[must_use]
    pub fn storage(&self) -> worker::Storage {
        self.core.state.storage()
    }

    /// Deletes everything that the Durable Object has stored, the application's data and every trace of the channel: for a
    /// Durable Object that is not used any more, and should cost nothing.
    ///
    /// Unlike after `storage().delete_all()`, the channel is then like one that never had an event: clients that have seen
    /// one receive a gap notification, but those that have only an older token do not.
    ///
    /// # Errors
    /// When the storage cannot be deleted.
    pub async fn erase(&self) -> Result<()> {
        self.core.erase().await
    }

    /// Deletes expired events from disk and returns the time at which the next events expire.
    ///
    /// Expired events are never served, deleted or not. Call it from a class's own
    /// [`alarm`](crate::DurableEventIteratorObject::alarm), for a channel without new events.
    ///
    /// # Errors
    /// [`Error::is_storage_failure`].
    pub fn prune(&self) -> Result<Option<SystemTime>> {
        Ok(self.core.prune()?.map(from_millis))
    }
}

/// An event in serialized form: an object or array without blobs.
pub(crate) fn event_body<E: Serialize + ?Sized>(event: &E) -> Result<Serialized, Error> {
    let body = serialize(event).map_err(|error| PublishError::NotSerializable(error.to_string()))?;
    if body.blobs.is_empty() {
        Ok(body)
    } else {
        Err(PublishError::NotSerializable("an event cannot hold a file or blob".into()).into())
    }
}

mod sealed {
    pub trait Sealed {}
    impl<E, T, S> Sealed for super::Channel<E, T, S> {}
}

/// Any [`Channel`], so that an object states its types once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no channel",
    label = "not a `Channel<Event>` whose event can be serialized and deserialized",
    note = "write `Channel<Event>`, and derive `Serialize` and `Deserialize` for `Event`"
)]
pub trait IsChannel: sealed::Sealed + 'static {
    /// The channel's events.
    type Event: Serialize + DeserializeOwned + 'static;
    /// The channel's sockets.
    type Socket: Clone;

    #[doc(hidden)]
    fn from_core(core: __Core) -> Self;
    #[doc(hidden)]
    fn socket(core: &__Core, raw: __Raw) -> Self::Socket;
}

/// Opaque: what a channel is made of.
#[doc(hidden)]
pub struct __Core(pub(crate) Rc<ChannelCore>);
/// Opaque: what a socket is made of.
#[doc(hidden)]
pub struct __Raw {
    pub(crate) connection: Option<String>,
    pub(crate) socket: RawSocket,
}

impl<E, T, S> IsChannel for Channel<E, T, S>
where
    E: Serialize + DeserializeOwned + 'static,
    T: 'static,
    S: 'static,
{
    type Event = E;
    type Socket = Socket<T, S>;

    fn from_core(core: __Core) -> Self {
        Self::from_core(core.0)
    }

    fn socket(core: &__Core, raw: __Raw) -> Socket<T, S> {
        Socket::new(Rc::clone(&core.0.sessions), raw.connection, raw.socket)
    }
}
