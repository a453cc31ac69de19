//! The core of a channel: the state that its handles share.

use super::{
    Audience, Options, PublishOptions, Published,
    audience::AudienceRule,
    presence::{self, PresenceState},
    subscription,
    transaction::Transactions,
};
use crate::{
    counters::{Anomaly, Counters},
    error::{Error, PublishError, Result},
    runtime::{self, Context, Dataset, EventMessages, Hub, Identity, LIVE_WINDOW, RawSocket, Storage, Work},
    socket::{
        Owner,
        session::{Flow, Kind, PUBLISHER_TAG, Session},
        session_store::SessionStore,
    },
};
use durable_event_log::{Appended, EventId, Log, Memory, Record, is_early};
use durable_event_wire::{
    Serialized,
    frame::{event_tail, safe_event},
    publisher,
};
use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

/// Microseconds per millisecond. Event ids are in microseconds, the clock of the Workers runtime is in milliseconds.
pub(crate) const MICROS_PER_MILLI: u64 = 1_000;

/// Maximum size of an event's message to a subscription with flow control besides the texts of the event, in characters: its call id
/// has up to 32 characters, and the event id 16 digits.
pub(super) const MESSAGE_BYTES: u64 = 120;

/// Minimum delay before the library's alarm, in milliseconds: a failed deletion is retried, but not in a loop.
const SOONEST_ALARM_MS: u64 = 1_000;

/// Delays after each failed attempt to set the alarm, in milliseconds. The Durable Object does not hibernate during a delay.
const ALARM_RETRIES_MS: [u64; 3] = [1_000, 4_000, 16_000];

/// Aborts the running calls of a socket.
type AbortCalls = Box<dyn Fn(&RawSocket)>;

/// The state that the handles of a channel share.
pub(crate) struct ChannelCore {
    pub(crate) hub: Rc<Hub>,
    pub(crate) sessions: Rc<SessionStore>,
    pub(crate) waiting: subscription::Waiting,
    pub(crate) storage: Rc<Storage>,
    pub(crate) options: Options,
    pub(crate) state: worker::State,
    pub(crate) identity: Rc<Identity>,
    pub(crate) counters: Rc<Counters>,
    pub(crate) transactions: Transactions,
    /// `None` if presence is off.
    pub(crate) presence: Option<PresenceState>,
    /// Set by the host.
    pub(crate) abort_calls: OnceCell<AbortCalls>,
    log: RefCell<Option<Log>>,
    /// What a discarded log knew. A log is discarded after a storage failure and after a rollback.
    memory: Cell<Memory>,
    /// Whether a changed event has been reported in the Worker's log.
    has_reported_change: Cell<bool>,
    /// What this instance knows of the library's alarm.
    alarm: Rc<Cell<AlarmState>>,
}

/// What an instance knows of the library's alarm.
///
/// Reading the alarm takes about a tenth of the time of a wake. A channel with events has an alarm, set with the first of them, so a
/// publish reads it only if the channel had no events, or at a new segment: until then, an alarm may be missing that could not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AlarmState {
    /// It is set if the channel had events when the instance was constructed.
    Presumed,
    /// It may be missing.
    Due,
    /// This instance has set it, or has found it set.
    Set,
}

impl ChannelCore {
    /// Creates the core of the Durable Object with this `ctx`. `dataset` receives its metrics.
    pub(crate) fn new(
        ctx: Context,
        identity: Identity,
        options: Options,
        dataset: Option<Dataset>,
    ) -> Result<Rc<Self>, runtime::JsError> {
        let hub = Rc::new(Hub::new(&ctx)?);
        let storage = Rc::new(Storage::new(&ctx)?);
        let identity = Rc::new(identity);
        let counters = Rc::new(Counters::new(
            options.logs_anomalies,
            Rc::clone(&hub),
            Rc::clone(&storage),
            Rc::clone(&identity),
            dataset,
        ));
        let core = Rc::new(Self {
            sessions: Rc::new(SessionStore::new(
                Rc::clone(&hub),
                Rc::clone(&counters),
                options.serves_publishers,
            )),
            waiting: subscription::Waiting::default(),
            hub,
            storage,
            state: runtime::state(ctx),
            identity,
            presence: options.presence.clone().map(PresenceState::new),
            counters,
            options,
            transactions: Transactions::default(),
            abort_calls: OnceCell::new(),
            log: RefCell::new(None),
            memory: Cell::default(),
            has_reported_change: Cell::new(false),
            alarm: Rc::new(Cell::new(AlarmState::Presumed)),
        });
        core.listen();
        #[cfg(not(target_arch = "wasm32"))]
        {
            let weak = Rc::downgrade(&core);
            core.hub.on_timer(Rc::new(move || {
                if let Some(core) = weak.upgrade() {
                    presence::timer(&core);
                }
            }));
        }
        Ok(core)
    }

    /// Runs `work` on the log. The log is read from the database on first use after hibernation.
    pub(crate) fn with_log<R, F>(&self, work: impl FnOnce(&mut Log, &Storage) -> Result<R, F>) -> Result<R>
    where
        Error: From<F>,
    {
        let mut slot = self.log.try_borrow_mut()?;
        let log = match &mut *slot {
            Some(log) => log,
            empty => {
                let mut log = Log::open(&*self.storage, &self.options.table_prefix, self.options.retention)?;
                log.restore(&*self.storage, now_us(), self.memory.get());
                empty.insert(log)
            }
        };
        let result = work(log, &self.storage).map_err(Error::from);
        if result.as_ref().is_err_and(Error::is_storage_failure) {
            self.counters.report(Anomaly::StorageFailure);
            // The log's state may be outdated: the application may have dropped its tables.
            self.memory.set(log.memory());
            *slot = None;
            self.alarm.set(AlarmState::Due);
        }
        result
    }

    /// Returns what the log knows, or what the last discarded log knew.
    pub(crate) fn log_memory(&self) -> Result<Memory> {
        Ok(self.log.try_borrow()?.as_ref().map_or(self.memory.get(), Log::memory))
    }

    /// Discards the log after the end of a transaction, since its state may be outdated. `before` is what the log knew at the
    /// transaction's start.
    pub(crate) fn discard_log(&self, before: Memory) -> Result<()> {
        self.memory.set(Memory::rolled_back(before, self.log_memory()?));
        *self.log.try_borrow_mut()? = None;
        self.alarm.set(AlarmState::Due);
        Ok(())
    }

    /// Reads the log again after `delete_all`, which may have failed.
    pub(crate) fn storage_was_deleted(&self) -> Result<()> {
        self.alarm.set(AlarmState::Due);
        self.with_log(|log, sql| log.reload(sql, now_us()))
    }

    /// Deletes all storage, including every trace of the log.
    pub(super) async fn erase(&self) -> Result<()> {
        *self.log.try_borrow_mut()? = None;
        self.memory.set(Memory::default());
        self.alarm.set(AlarmState::Due);
        Ok(self.storage.delete_all().await?) // starts deleting synchronously, before other code can use the log
    }

    /// Records a token that arrives before its time of issue: its issuer's clock is ahead. The log needs the difference when a
    /// client without a cursor resumes. Times are in seconds since 1970.
    pub(crate) fn note_token(&self, issued_at: f64, expires_at: f64) {
        let now_us = now_us();
        if !is_early(issued_at, now_us) {
            return;
        }
        match self.with_log(|log, sql| log.note_token(sql, now_us, issued_at, expires_at)) {
            Ok(None) => {}
            Ok(Some(seconds)) => {
                self.counters.report(Anomaly::IssuerClockAhead);
                runtime::log_warning(&format!(
                    "a token was issued by a clock that is {seconds} s ahead: synchronize it; until then clients without a \
                     cursor may receive older events"
                ));
            }
            Err(error) => {
                runtime::log_error(&format!("recording that a token issuer's clock is ahead failed: {error}"))
            }
        }
    }

    pub(crate) fn publish(&self, body: &Serialized, options: &PublishOptions) -> Result<Published> {
        let json = body.json.as_deref().filter(|_| body.has_plain_root()).ok_or(PublishError::NotAnObject)?;
        self.publish_json(json, body.meta.as_deref(), options)
    }

    /// Publishes an event of any type for oRPC's publisher. Clients of iterators cannot carry a cursor for an event that is neither an
    /// object nor an array, so only publishers' subscribers receive it.
    pub(crate) fn publish_any(&self, body: &Serialized, options: PublishOptions) -> Result<Published> {
        if body.has_plain_root() {
            return self.publish(body, &options);
        }
        let rule = AudienceRule::everyone().only_tagged([PUBLISHER_TAG]);
        let options = options.to(Audience::from_rule(rule));
        match &body.json {
            Some(json) => self.publish_json(json, body.meta.as_deref(), &options),
            None => self.publish_json("null", Some("[[3]]"), &options), // undefined
        }
    }

    fn publish_json(&self, json: &str, meta: Option<&str>, options: &PublishOptions) -> Result<Published> {
        let PublishOptions { audience, idempotency_key, .. } = options;
        let extra = options.meta()?.to_extra();
        let now_ms = runtime::now_ms();
        let now_us = now_ms.saturating_mul(MICROS_PER_MILLI);
        let rule = audience.rule.to_text();
        let record = Record { json, meta, extra: extra.as_deref(), audience: rule.as_deref() };
        let _delivery = self.hub.begin(Work::Delivery);
        let appended = self.append(|log, sql| match idempotency_key {
            None => log.append(sql, now_us, &record).map(Appended::Stored),
            Some(key) => log.append_once(sql, now_us, &record, key),
        })?;
        let id = match appended {
            Appended::Stored(id) => id,
            // The event was sent when it was stored.
            Appended::Duplicate(id) => {
                self.counters.count(|counters| &counters.duplicates);
                return Ok(Published { id, is_duplicate: true });
            }
        };

        // The event is stored: from here on the publish must not fail.
        let messages = self.messages(id, &record);
        if self.transactions.is_open() {
            let audience = audience.clone();
            self.send_on_commit(Some(id), move |core| {
                core.send(id, &messages, runtime::now_ms(), &audience, 0);
            })?;
        } else {
            self.send(id, &messages, now_ms, audience, 0);
            self.after_publish();
        }
        Ok(Published { id, is_duplicate: false })
    }

    /// Runs `work`, which stores events. If it has begun a segment, the alarm may be due.
    pub(super) fn append<R, F>(&self, work: impl FnOnce(&mut Log, &Storage) -> Result<R, F>) -> Result<R>
    where
        Error: From<F>,
    {
        self.with_log(|log, sql| {
            let before = log.next_expiry().and(log.newest_segment());
            let appended = work(log, sql);
            if log.newest_segment() != before && self.alarm.get() == AlarmState::Presumed {
                self.alarm.set(AlarmState::Due);
            }
            appended
        })
    }

    /// Returns the common part of the messages of a stored event.
    pub(super) fn messages(&self, id: EventId, record: &Record<'_>) -> EventMessages {
        let Record { json, meta, extra, .. } = *record;
        EventMessages {
            tail: event_tail(json, meta, extra, id.as_micros()),
            for_publishers: self
                .options
                .serves_publishers
                .then(|| publisher::message(json, meta, extra, id.as_micros())),
        }
    }

    /// Sends a stored event to its audience. `later` is the size of the stored events that are sent after it, in characters.
    pub(super) fn send(
        &self,
        id: EventId,
        messages: &EventMessages,
        now_ms: u64,
        audience: &Audience,
        later: u64,
    ) {
        presence::hold(self, || self.send_now(id, messages, now_ms, audience, later));
    }

    fn send_now(&self, id: EventId, messages: &EventMessages, now_ms: u64, audience: &Audience, later: u64) {
        self.counters.count(|counters| &counters.published);
        let unsent = later.saturating_add(messages.tail.len() as u64);
        let room_of = |flow| self.room(flow, unsent);
        let unsent = if audience.is_everyone() {
            self.sessions.fan_out(messages, now_ms, &room_of)
        } else {
            let admits = |connection: Option<&str>, tags: &[String], is_chosen: bool| {
                audience.rule.admits(connection, tags, is_chosen)
            };
            let Audience { chosen, except, .. } = audience;
            self.sessions.fan_out_to(messages, now_ms, &room_of, &admits, chosen, except)
        };
        match unsent {
            Ok(unsent) => {
                let before = id.as_micros().saturating_sub(1);
                unsent.full.iter().for_each(|ws| subscription::park(self, ws, Some(before)));
                unsent.expired.iter().for_each(|ws| subscription::expire(self, ws));
            }
            Err(error) => {
                runtime::log_error(&format!(
                    "sending event {id} failed, so the subscriptions begin again: {error}"
                ));
                self.hub.interrupt_live();
            }
        }
        if self.sessions.take_owes_presence() {
            presence::resync(self);
        }
    }

    /// Returns the room of a live subscription with flow control, in characters, as far as the log can tell it: what was stored since
    /// the subscription became live, except for the last `current` bytes, counts as sent and not acknowledged. 0 if it is unknown.
    ///
    /// It is too small if the client has acknowledged events, or has not received all of them. The client then subscribes again.
    pub(crate) fn room(&self, flow: Flow, current: u64) -> u64 {
        let stored = self.with_log(|log, _| Ok::<_, Error>(log.stored_since(flow.into())));
        stored.ok().flatten().map_or(0, |stored| {
            let sent = stored.events.saturating_mul(MESSAGE_BYTES).saturating_add(stored.bytes);
            LIVE_WINDOW.saturating_sub(sent.saturating_sub(current))
        })
    }

    /// Deletes expired events and sets the alarm, after a publish or after the outermost transaction with events. Inside a
    /// transaction it could be rolled back.
    pub(crate) fn after_publish(&self) {
        if let Err(error) = self.with_log(|log, sql| log.delete_expired(sql, now_us())) {
            runtime::log_error(&format!(
                "deleting expired events failed and is retried with the next publish: {error}"
            ));
        }
        if self.alarm.get() == AlarmState::Due {
            self.ensure_alarm();
        }
    }

    /// Returns the tail of a stored event without what clients would throw on (see [`safe_event`]), or the whole message for a
    /// publisher's subscriber, or `None` if it must not be sent.
    pub(crate) fn safe_tail(&self, row: &str, kind: Kind) -> Option<String> {
        let safe = match kind {
            Kind::Client => safe_event(row, event_tail),
            Kind::Publisher => safe_event(row, publisher::message),
        };
        if safe.as_ref().is_none_or(|safe| safe.is_changed) && !self.has_reported_change.replace(true) {
            runtime::log_error(
                "a stored event has a URL, a regular expression, a bigint or event meta that clients cannot read; it is sent \
                 without the unreadable values (further such events are not logged)",
            );
        }
        safe.map(|safe| safe.tail)
    }

    /// Returns a value for each open socket of a client that has one. A socket whose session cannot be read has closed, or is closed by
    /// reading it.
    ///
    /// Only one session at a time is read: those of all sockets together may need more memory than there is.
    pub(super) fn of_clients<R>(
        &self,
        mut value: impl FnMut(RawSocket, &Session) -> Option<R>,
    ) -> Result<Vec<R>> {
        let of_client = |raw: RawSocket| {
            let session = self.sessions.peek(&raw).ok().filter(|session| !session.is_publisher())?;
            value(raw, &session)
        };
        Ok(self.hub.sockets()?.into_iter().filter_map(of_client).collect())
    }

    /// Returns the id of the newest event, if the channel has ever had events.
    pub(crate) fn last_event_id(&self) -> Result<Option<EventId>> {
        self.with_log(|log, _| Ok::<_, Error>(log.last_id()))
    }

    /// Deletes expired events, and returns when the next ones expire, in milliseconds since 1970.
    pub(crate) fn prune(&self) -> Result<Option<u64>> {
        self.with_log(|log, sql| {
            log.prune(sql, now_us())?;
            Ok::<_, Error>(log.next_expiry().map(|us| us.div_ceil(MICROS_PER_MILLI)))
        })
    }

    /// Handles the library's alarm. If it fails, the Workers runtime retries the alarm.
    pub(crate) async fn prune_and_rearm(&self) -> Result<()> {
        self.alarm.set(AlarmState::Due);
        self.prune()?;
        if let Some(at) = self.next_alarm() {
            self.storage.ensure_alarm(at).await?;
            self.alarm.set(AlarmState::Set);
        }
        Ok(())
    }

    /// Returns the time of the library's next alarm, in milliseconds since 1970.
    fn next_alarm(&self) -> Option<u64> {
        let next = self.with_log(|log, _| Ok::<_, Error>(log.next_expiry())).ok()??;
        let soonest = runtime::now_ms().saturating_add(SOONEST_ALARM_MS);
        Some(next.div_ceil(MICROS_PER_MILLI).max(soonest))
    }

    /// Sets the library's alarm if none is set. It is not moved with every event, because setting an alarm is billed as a row
    /// written.
    pub(crate) fn ensure_alarm(&self) {
        if !self.options.prune_by_alarm || self.alarm.get() == AlarmState::Set {
            return;
        }
        let Some(at) = self.next_alarm() else { return };
        // Not awaited: it is written together with the event.
        self.alarm.set(AlarmState::Set);
        let (storage, alarm) = (Rc::clone(&self.storage), Rc::clone(&self.alarm));
        let counters = Rc::clone(&self.counters);
        runtime::spawn(async move {
            let mut pauses = ALARM_RETRIES_MS.into_iter();
            while let Err(error) = storage.ensure_alarm(at).await {
                counters.report(Anomaly::AlarmFailure);
                runtime::log_error(&format!("setting the alarm failed: {error}"));
                let Some(pause_ms) = pauses.next() else {
                    return alarm.set(AlarmState::Due); // the next publish or upgrade tries again
                };
                let _ = runtime::pause(pause_ms).await; // if the pause fails, the next attempt is only sooner
            }
        });
    }
}

impl Owner for ChannelCore {
    fn sessions(&self) -> &SessionStore {
        &self.sessions
    }

    fn set_presence(&self, ws: &RawSocket, state: Serialized) -> Result<()> {
        presence::set_state(self, ws, state)
    }
}

fn now_us() -> u64 {
    runtime::now_ms().saturating_mul(MICROS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::session::MAX_FLOW_ID_BYTES;
    use durable_event_wire::frame::head;

    #[test]
    fn no_message_is_longer_than_its_texts_and_the_constant() {
        let (json, meta, extra) = ("{}", "[]", r#""retry":1"#);
        let tail = event_tail(json, Some(meta), Some(extra), EventId::MAX.as_micros());
        let more =
            head(&"i".repeat(MAX_FLOW_ID_BYTES)).len() + tail.len() - json.len() - meta.len() - extra.len();
        assert!((MESSAGE_BYTES - 8..=MESSAGE_BYTES).contains(&(more as u64)), "{more}");
    }
}
