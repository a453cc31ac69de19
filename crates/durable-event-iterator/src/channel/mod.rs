//! The channel: publishing, and who is connected.

pub(crate) mod audience;
pub(crate) mod options;
mod publish_options;
mod replay_row;
pub(crate) mod rpc_options;
mod stub;
pub(crate) mod subscription;
pub(crate) mod transaction;

pub use self::{
    audience::Audience,
    options::{InvalidOption, Options},
    publish_options::{PublishOptions, Published},
    stub::ChannelStub,
    transaction::Transaction,
};

use self::transaction::Transactions;
use crate::{
    error::{Error, PublishError, Result},
    runtime::{self, Context, Hub, Identity, RawSocket, Storage},
    socket::{Socket, Untyped, session_store::SessionStore},
    time::from_millis,
};
use durable_event_log::{Appended, EventId, Log, Memory, Record, is_early};
use durable_event_token::ChannelName;
use durable_event_wire::{
    Serialized,
    frame::{event_tail, safe_tail},
    serialize,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    cell::{Cell, RefCell},
    marker::PhantomData,
    rc::Rc,
    time::SystemTime,
};

/// Microseconds in a millisecond: event ids count the former, the platform's clock the latter.
pub(crate) const MICROS_PER_MILLI: u64 = 1_000;

/// The soonest that the library's alarm goes off: removing is retried after a failure, but not in a loop.
const SOONEST_ALARM_MS: u64 = 1_000;

/// How long to wait after each failure to set the alarm, in milliseconds. While it waits, the Durable Object does not hibernate.
const ALARM_RETRIES_MS: [u64; 3] = [1_000, 4_000, 16_000];

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

    /// Deletes expired events from disk, and returns when the next ones expire. Expired events are never served, deleted or not:
    /// this is for a class with an [`alarm`](crate::DurableEventIteratorObject::alarm) of its own, whose channel has no new events.
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

/// What the channel's handles share.
pub(crate) struct ChannelCore {
    pub(crate) hub: Rc<Hub>,
    pub(crate) sessions: Rc<SessionStore>,
    pub(crate) waiting: subscription::Waiting,
    pub(crate) storage: Rc<Storage>,
    pub(crate) options: Options,
    pub(crate) state: worker::State,
    pub(crate) identity: Identity,
    pub(crate) transactions: Transactions,
    log: RefCell<Option<Log>>,
    /// What is known of a log that was given up: for a failure of the storage, or since a transaction was rolled back.
    memory: Cell<Memory>,
    /// Whether the log has been told of an event that was changed before it was sent.
    has_reported_change: Cell<bool>,
    /// Whether this instance knows that an alarm is set.
    alarm_is_set: Rc<Cell<bool>>,
}

impl ChannelCore {
    /// What works on the object whose `ctx` this is.
    pub(crate) fn new(
        ctx: Context,
        identity: Identity,
        options: Options,
    ) -> Result<Rc<Self>, runtime::JsError> {
        let hub = Rc::new(Hub::new(&ctx)?);
        let core = Rc::new(Self {
            sessions: Rc::new(SessionStore::new(Rc::clone(&hub))),
            waiting: subscription::Waiting::default(),
            hub,
            storage: Rc::new(Storage::new(&ctx)?),
            state: runtime::state(ctx),
            identity,
            options,
            transactions: Transactions::default(),
            log: RefCell::new(None),
            memory: Cell::default(),
            has_reported_change: Cell::new(false),
            alarm_is_set: Rc::new(Cell::new(false)),
        });
        core.listen();
        Ok(core)
    }

    /// Works on the log, which is read from the database on first use after waking.
    pub(crate) fn with_log<R, F>(&self, work: impl FnOnce(&mut Log, &Storage) -> Result<R, F>) -> Result<R>
    where
        Error: From<F>,
    {
        let mut slot = self.log.try_borrow_mut()?;
        let log = match &mut *slot {
            Some(log) => log,
            empty => {
                let mut log = Log::open(&*self.storage, self.options.table_prefix, self.options.retention)?;
                log.restore(&*self.storage, now_us(), self.memory.get());
                empty.insert(log)
            }
        };
        let result = work(log, &self.storage).map_err(Error::from);
        if result.as_ref().is_err_and(Error::is_storage_failure) {
            // The tables may not be what the log believes: the application can have dropped them.
            self.memory.set(log.memory());
            *slot = None;
            self.alarm_is_set.set(false);
        }
        result
    }

    /// What is known of the log.
    pub(crate) fn log_memory(&self) -> Result<Memory> {
        Ok(self.log.try_borrow()?.as_ref().map_or(self.memory.get(), Log::memory))
    }

    /// The database may not be what the log believes, as a transaction has ended that began when `before` was known.
    pub(crate) fn give_up_log(&self, before: Memory) -> Result<()> {
        self.memory.set(Memory::rolled_back(before, self.log_memory()?));
        *self.log.try_borrow_mut()? = None;
        self.alarm_is_set.set(false);
        Ok(())
    }

    /// The application has deleted all of its storage, unless that has failed.
    pub(crate) fn storage_was_deleted(&self) -> Result<()> {
        self.alarm_is_set.set(false);
        self.with_log(|log, sql| log.reload(sql, now_us()))
    }

    async fn erase(&self) -> Result<()> {
        *self.log.try_borrow_mut()? = None;
        self.memory.set(Memory::default());
        self.alarm_is_set.set(false);
        Ok(self.storage.delete_all().await?) // which nothing can come before
    }

    /// A token has arrived, whose times are in seconds since the epoch. If it comes before it was issued, its issuer's clock is
    /// ahead, which counts when a client without a cursor resumes.
    pub(crate) fn note_token(&self, issued_at: f64, expires_at: f64) {
        let now_us = now_us();
        if !is_early(issued_at, now_us) {
            return;
        }
        match self.with_log(|log, sql| log.note_token(sql, now_us, issued_at, expires_at)) {
            Ok(None) => {}
            Ok(Some(seconds)) => runtime::log_warning(&format!(
                "a token was issued by a clock that is {seconds} s ahead: synchronize it; until then clients without a cursor \
                 may receive older events"
            )),
            Err(error) => {
                runtime::log_error(&format!("noting that an issuer's clock is ahead failed: {error}"))
            }
        }
    }

    pub(crate) fn publish(&self, body: &Serialized, options: &PublishOptions) -> Result<Published> {
        let PublishOptions { audience, idempotency_key, .. } = options;
        let meta = options.meta()?;
        let json = body.json.as_deref().filter(|_| body.has_plain_root()).ok_or(PublishError::NotAnObject)?;
        let extra = meta.to_extra();
        let now_ms = runtime::now_ms();
        let now_us = now_ms.saturating_mul(MICROS_PER_MILLI);
        let rule = audience.rule.to_text();
        let record =
            Record { json, meta: body.meta.as_deref(), extra: extra.as_deref(), audience: rule.as_deref() };
        let appended = self.with_log(|log, sql| match idempotency_key {
            None => log.append(sql, now_us, &record).map(Appended::Stored),
            Some(key) => log.append_once(sql, now_us, &record, key),
        })?;
        let id = match appended {
            Appended::Stored(id) => id,
            // It was sent when it was stored.
            Appended::Duplicate(id) => return Ok(Published { id, is_duplicate: true }),
        };

        // The event is stored: from here on nothing makes the publish fail.
        let tail = event_tail(json, record.meta, record.extra, id.as_micros());
        if self.transactions.is_open() {
            let audience = audience.clone();
            self.send_on_commit(Some(id), move |core| core.send(id, &tail, runtime::now_ms(), &audience))?;
        } else {
            self.send(id, &tail, now_ms, audience);
            self.after_publish();
        }
        Ok(Published { id, is_duplicate: false })
    }

    /// Sends an event that is stored to those whom it is for.
    fn send(&self, id: EventId, tail: &str, now_ms: u64, audience: &Audience) {
        let expired = if audience.is_everyone() {
            self.sessions.fan_out(tail, now_ms)
        } else {
            let admits = |connection: Option<&str>, tags: &[String], is_chosen: bool| {
                audience.rule.admits(connection, tags, is_chosen)
            };
            self.sessions.fan_out_to(tail, now_ms, &admits, &audience.chosen, &audience.except)
        };
        match expired {
            Ok(sockets) => sockets.iter().for_each(|ws| subscription::expire(self, ws)),
            Err(error) => runtime::log_error(&format!("fan-out of {id} failed: {error}")),
        }
    }

    /// What follows a publish, or a transaction with some: not inside of one, since it must not be rolled back.
    pub(crate) fn after_publish(&self) {
        if let Err(error) = self.with_log(|log, sql| log.delete_expired(sql, now_us())) {
            runtime::log_error(&format!("removing old events failed, the next publish tries again: {error}"));
        }
        self.ensure_alarm();
    }

    /// The tail of a stored event that clients could throw on, as they can read it: see [`safe_tail`]. None: it is not sent.
    pub(crate) fn safe_tail(&self, row: &str) -> Option<String> {
        let safe = safe_tail(row);
        if safe.as_ref().is_none_or(|safe| safe.is_changed) && !self.has_reported_change.replace(true) {
            runtime::log_error(
                "a stored event has a URL, a regular expression, a bigint or event meta that clients cannot read: it is sent \
                 without what they cannot read (further ones are not logged)",
            );
        }
        safe.map(|safe| safe.tail)
    }

    pub(crate) fn prune(&self) -> Result<Option<u64>> {
        self.with_log(|log, sql| {
            log.prune(sql, now_us())?;
            Ok::<_, Error>(log.next_expiry().map(|us| us.div_ceil(MICROS_PER_MILLI)))
        })
    }

    /// The library's alarm has gone off. The runtime tries again when it fails.
    pub(crate) async fn prune_and_rearm(&self) -> Result<()> {
        self.alarm_is_set.set(false);
        self.prune()?;
        if let Some(at) = self.next_alarm() {
            self.storage.ensure_alarm(at).await?;
            self.alarm_is_set.set(true);
        }
        Ok(())
    }

    /// When the library's alarm is to go off next, in milliseconds since the epoch.
    fn next_alarm(&self) -> Option<u64> {
        let next = self.with_log(|log, _| Ok::<_, Error>(log.next_expiry())).ok()??;
        let soonest = runtime::now_ms().saturating_add(SOONEST_ALARM_MS);
        Some(next.div_ceil(MICROS_PER_MILLI).max(soonest))
    }

    /// Setting an alarm is billed as a row, so it is set when there is none, not moved with every event.
    pub(crate) fn ensure_alarm(&self) {
        if !self.options.prune_by_alarm || self.alarm_is_set.get() {
            return;
        }
        let Some(at) = self.next_alarm() else { return };
        // Nobody waits for it: the write goes along with the event's.
        self.alarm_is_set.set(true);
        let (storage, is_set) = (Rc::clone(&self.storage), Rc::clone(&self.alarm_is_set));
        runtime::spawn(async move {
            let mut pauses = ALARM_RETRIES_MS.into_iter();
            while let Err(error) = storage.ensure_alarm(at).await {
                runtime::log_error(&format!("setting the alarm failed: {error}"));
                let Some(pause_ms) = pauses.next() else {
                    return is_set.set(false); // the next publish or upgrade tries again
                };
                let _ = runtime::pause(pause_ms).await; // without a pause it is only tried sooner
            }
        });
    }
}

fn now_us() -> u64 {
    runtime::now_ms().saturating_mul(MICROS_PER_MILLI)
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
