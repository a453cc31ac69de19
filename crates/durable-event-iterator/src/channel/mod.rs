//! The channel: publishing events, and the sockets that are open.

pub(crate) mod audience;
pub(crate) mod batch;
mod core;
mod disconnect;
pub(crate) mod options;
pub(crate) mod page;
pub(crate) mod presence;
mod publish_options;
pub(crate) mod reading;
mod replay_row;
pub(crate) mod revocation;
pub(crate) mod rpc_options;
mod stats;
pub(crate) mod stub;
pub(crate) mod subscription;
pub(crate) mod transaction;

pub(crate) use self::core::{ChannelCore, MICROS_PER_MILLI};
#[cfg(target_arch = "wasm32")]
pub(crate) use self::publish_options::milliseconds;
pub use self::{
    audience::Audience,
    options::{InvalidOption, Options},
    publish_options::{PublishOptions, Published},
    reading::{EventPage, ReadEvent, ReadOptions, Received, Subscription},
    revocation::Revocation,
    stats::{
        ChannelStats, Connection, ConnectionState, ConnectionsPage, ConnectionsQuery, RetainedEvents,
        SegmentStats, StatsQuery, TimelineBucket,
    },
    stub::ChannelStub,
    transaction::Transaction,
};

use crate::{
    error::{Error, PublishError, Result},
    presence::Member,
    runtime::RawSocket,
    socket::{Socket, Untyped},
    sql::Sql,
    time::from_millis,
};
use durable_event_log::EventId;
use durable_event_token::ChannelName;
use durable_event_wire::{Serialized, Value, serialize};
use serde::{Serialize, de::DeserializeOwned};
use std::{marker::PhantomData, rc::Rc, time::SystemTime};

/// The type parameters of a handle, which contains no values of them.
type Types<E, T, S> = fn() -> (E, T, S);

/// The channel of a Durable Object: publishes events and lists the open sockets.
///
/// - `E` is the type of the channel's events.
/// - `T` is the type of the attachment of the clients' tokens. State `()` if tokens have no attachment.
/// - `S` is the type of the attachment that the application stores with a socket ([`Socket::set_attachment`]).
///
/// `T` and `S` are [`Untyped`] by default. To store a `Profile` with a socket, write `Channel<Message, User, Profile>`, or
/// `Channel<Message, (), Profile>`.
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
    /// Publishes an event to connected clients and to clients that reconnect within retention, and returns its id.
    ///
    /// When it returns, the event is stored and sent. The Workers runtime holds the messages back until the event is durable.
    /// Inside a transaction ([`Channel::transaction`], or any other transaction of the storage) the event is sent after the
    /// commit.
    ///
    /// # Errors
    /// [`Error::is_event_too_large`], [`Error::is_event_not_an_object`], [`Error::is_not_serializable`] or
    /// [`Error::is_storage_failure`]. The event was neither stored nor sent.
    pub fn publish(&self, event: &E) -> Result<EventId> {
        Ok(self.publish_with(event, PublishOptions::new())?.id)
    }

    /// Publishes an event with [`PublishOptions`]: to an [`Audience`], with meta, or with an idempotency key.
    ///
    /// An [`Audience`] can be passed in place of options. Clients outside the audience never receive the event, not even on
    /// replay.
    ///
    /// # Errors
    /// The errors of [`Channel::publish`], [`Error::is_invalid_meta`] and [`Error::is_invalid_key`].
    pub fn publish_with(&self, event: &E, options: impl Into<PublishOptions>) -> Result<Published> {
        let options = options.into();
        let body = event_body(event)?;
        self.core.publish(&body, &options)
    }

    /// Publishes events to everyone, in order, and returns their ids. Either all of them are stored, or none.
    ///
    /// They are stored in one transaction, and sent one by one. It takes less time than publishing them one by one.
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
    /// fn ticks(channel: &Channel<Tick>, ticks: &[Tick]) -> Result<Vec<EventId>> {
    ///     channel.publish_batch(ticks)
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Channel::publish`]; the message contains the index of the event. BAD_REQUEST unless there are 1–1,000 events,
    /// and PAYLOAD_TOO_LARGE if they have more than 8 MiB together. No event was stored or sent.
    pub fn publish_batch<'e>(&self, events: impl IntoIterator<Item = &'e E>) -> Result<Vec<EventId>>
    where
        E: 'e,
    {
        let published =
            self.publish_batch_with(events.into_iter().map(|event| (event, PublishOptions::new())))?;
        Ok(published.into_iter().map(|published| published.id).collect())
    }

    /// Publishes events in order, each with its own [`PublishOptions`] or [`Audience`]. Either all of them are stored, or none.
    ///
    /// An event whose idempotency key was used before, also by an earlier event of the batch, is a
    /// [duplicate](Published::is_duplicate): the other events are published.
    ///
    /// ```
    /// use durable_event_iterator::{Audience, Channel, Published, Result, Value};
    ///
    /// fn deal(channel: &Channel<Value>, hands: &[(String, Value)]) -> Result<Vec<Published>> {
    ///     channel.publish_batch_with(hands.iter().map(|(player, hand)| (hand, Audience::everyone().to(player))))
    /// }
    /// ```
    ///
    /// # Errors
    /// The errors of [`Channel::publish_batch`], [`Error::is_invalid_meta`] and [`Error::is_invalid_key`].
    pub fn publish_batch_with<'e, O: Into<PublishOptions>>(
        &self,
        events: impl IntoIterator<Item = (&'e E, O)>,
    ) -> Result<Vec<Published>>
    where
        E: 'e,
    {
        // One more than a batch may have is enough to reject it.
        let events = events.into_iter().take(batch::BATCH_EVENTS.end().saturating_add(1)).enumerate();
        let events = events.map(|(at, (event, options))| {
            Ok(batch::BatchEvent::new(event_body(event).map_err(|error| error.at_event(at))?, options.into()))
        });
        self.core.publish_batch(&events.collect::<Result<Vec<_>>>()?)
    }

    /// Sends a live event to these sockets. It is not stored, has no id and is never replayed.
    ///
    /// Use it for events that matter only to connected clients, such as "is typing". Closed sockets are ignored. Inside a
    /// transaction the event is sent after the commit.
    ///
    /// # Errors
    /// The errors of [`Channel::publish`], except [`Error::is_storage_failure`].
    pub fn send_live<'s>(&self, sockets: impl IntoIterator<Item = &'s Socket<T, S>>, event: &E) -> Result<()>
    where
        T: 's,
        S: 's,
    {
        let body = event_body(event)?;
        let sockets: Vec<RawSocket> = sockets.into_iter().map(|socket| socket.raw().clone()).collect();
        subscription::send_live(&self.core, sockets, body)
    }
}

impl<E, T, S> Channel<E, T, S> {
    pub(crate) fn from_core(core: Rc<ChannelCore>) -> Self {
        Self { core, types: PhantomData }
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn into_core(self) -> Rc<ChannelCore> {
        self.core
    }

    pub(crate) fn core(&self) -> &ChannelCore {
        &self.core
    }

    /// Returns the name of the channel, which is the name of its Durable Object.
    ///
    /// `None` if the Workers runtime does not report it: for a Durable Object whose id is from `newUniqueId`, and for one that
    /// is reached through another `wrangler dev` process, until its first client connects.
    #[must_use]
    pub fn name(&self) -> Option<ChannelName> {
        self.core.identity.name().and_then(|name| name.try_into().ok())
    }

    /// Returns the open sockets of clients, subscribed or not.
    ///
    /// # Errors
    /// An error of the Workers runtime while listing the sockets.
    pub fn sockets(&self) -> Result<Vec<Socket<T, S>>> {
        let sockets = self.core.hub.sockets()?;
        // A socket whose session cannot be read has closed, or `read` closes it.
        let sessions = &self.core.sessions;
        let socket = |raw: RawSocket| {
            let session = sessions.read(&raw).ok().filter(|session| !session.is_publisher())?;
            Some(Socket::new(Rc::clone(&self.core) as _, session.connection.clone(), raw))
        };
        Ok(sockets.into_iter().filter_map(socket).collect())
    }

    /// Returns the open sockets, subscribed or not, for which `condition` is true.
    ///
    /// Pass them to [`Audience::to_sockets`] or [`Audience::except_sockets`]. The condition is evaluated once, for the clients
    /// that are connected now.
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
    /// // Publishes to the connected clients in Europe. They also receive the event if they reconnect.
    /// fn warn(channel: &Channel<Warning, (), Region>, warning: Warning) -> Result<Published> {
    ///     let europe = channel.sockets_where(|socket| {
    ///         socket.attachment().is_ok_and(|region| region.is_some_and(|Region(region)| region == "eu"))
    ///     })?;
    ///     channel.publish_with(&warning, Audience::everyone().to_sockets(&europe))
    /// }
    /// ```
    ///
    /// # Errors
    /// An error of the Workers runtime while listing the sockets.
    pub fn sockets_where(&self, condition: impl FnMut(&Socket<T, S>) -> bool) -> Result<Vec<Socket<T, S>>> {
        let mut sockets = self.sockets()?;
        sockets.retain(condition);
        Ok(sockets)
    }

    /// Returns the members of a channel with [presence](crate::Options::presence), sorted by id.
    ///
    /// A member within the grace period has no connections.
    ///
    /// # Errors
    /// NOT_FOUND if presence is off, or an error of the Workers runtime while listing the sockets.
    pub fn members(&self) -> Result<Vec<Member>> {
        presence::members(&self.core)
    }

    /// Returns the numbers of the channel: sockets, retained events, and counts of this instance.
    ///
    /// It reads the attachments of all sockets, and a few rows.
    ///
    /// ```
    /// use durable_event_iterator::{Channel, Result, StatsQuery};
    ///
    /// fn is_idle<E>(channel: &Channel<E>) -> Result<bool> {
    ///     let stats = channel.stats(&StatsQuery::new())?;
    ///     Ok(stats.subscriptions == 0 && stats.events.count == 0)
    /// }
    /// ```
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, and [`Error::is_storage_failure`].
    pub fn stats(&self, query: &StatsQuery) -> Result<ChannelStats> {
        self.core.stats(query)
    }

    /// Returns a page of the open sockets of clients.
    ///
    /// # Errors
    /// BAD_REQUEST for an invalid query, and an error of the Workers runtime while listing the sockets.
    pub fn connections(&self, query: &ConnectionsQuery) -> Result<ConnectionsPage> {
        self.core.connections(query)
    }

    /// Returns the Durable Object's SQL database, for the application's tables.
    #[must_use]
    pub fn sql(&self) -> Sql {
        Sql::new(Rc::clone(&self.core.storage))
    }

    /// Returns the Durable Object's storage, for application data. The names of the library's tables start with
    /// [`Options::table_prefix`](crate::Options::table_prefix). The methods of the storage panic on native targets; for SQL, use
    /// [`Channel::sql`].
    ///
    /// `delete_all` deletes the events too. Clients whose cursor or token is older then receive a gap notification. For this
    /// purpose, a channel that had events keeps an empty table and a view (a few kilobytes of storage). [`Channel::erase`]
    /// keeps nothing.
    #[must_use]
    pub fn storage(&self) -> worker::Storage {
        self.core.state.storage()
    }

    /// Deletes all data of the Durable Object: the application's and the channel's. Use it for a Durable Object that is no
    /// longer needed and should cost nothing.
    ///
    /// Afterwards the channel equals one that never had events: clients with a cursor receive a gap notification, but, unlike
    /// after `storage().delete_all()`, clients with only an older token do not.
    ///
    /// # Errors
    /// An error of the Workers runtime while deleting the storage.
    pub async fn erase(&self) -> Result<()> {
        self.core.erase().await
    }

    /// Returns the id of the newest event, or `None` if the channel has never had events.
    ///
    /// It is a cursor: a client that loads the state of the application together with it, and subscribes with it as its last event
    /// id, receives exactly the events after that state. Read the state and the id in the same turn of the event loop.
    ///
    /// # Errors
    /// [`Error::is_storage_failure`].
    pub fn last_event_id(&self) -> Result<Option<EventId>> {
        self.core.last_event_id()
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

/// Serializes an event.
///
/// # Errors
/// [`PublishError::NotSerializable`], also for an event with a file or blob.
pub(crate) fn event_body<E: Serialize + ?Sized>(event: &E) -> Result<Serialized, Error> {
    let body = serialize(event).map_err(|error| PublishError::NotSerializable(error.to_string()))?;
    if body.blobs.is_empty() {
        Ok(body)
    } else {
        Err(PublishError::NotSerializable("it contains a file or blob".into()).into())
    }
}

mod sealed {
    pub trait Sealed {}
    impl<E, T, S> Sealed for super::Channel<E, T, S> {}
}

/// Any [`Channel`]. With it a Durable Object states its types only once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `Channel`",
    label = "expected `Channel<Event>`",
    note = "write `Channel<Event>`, and derive `Serialize` and `Deserialize` for `Event`"
)]
pub trait IsChannel: sealed::Sealed + 'static {
    /// The type of the channel's events.
    type Event: Serialize + DeserializeOwned + 'static;
    /// The type of the attachment of the clients' tokens.
    type TokenAttachment: 'static;
    /// The type of the channel's sockets.
    type Socket: Clone;

    #[doc(hidden)]
    fn from_core(core: __Core) -> Self;
    #[doc(hidden)]
    fn socket(core: &__Core, raw: __Raw) -> Self::Socket;
    #[doc(hidden)]
    fn set_presence(socket: &Self::Socket, state: &Value) -> Result<()>;
}

/// The state of a channel. Opaque outside this crate.
#[doc(hidden)]
pub struct __Core(pub(crate) Rc<ChannelCore>);
/// The parts of a socket. Opaque outside this crate.
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
    type TokenAttachment = T;
    type Socket = Socket<T, S>;

    fn from_core(core: __Core) -> Self {
        Self::from_core(core.0)
    }

    fn socket(core: &__Core, raw: __Raw) -> Socket<T, S> {
        Socket::new(Rc::clone(&core.0) as _, raw.connection, raw.socket)
    }

    fn set_presence(socket: &Socket<T, S>, state: &Value) -> Result<()> {
        socket.set_presence(state)
    }
}
