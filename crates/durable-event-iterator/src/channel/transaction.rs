//! Transactions: events published in a transaction are sent after its commit, and discarded by a rollback.

use super::presence;
use crate::{
    channel::{Channel, ChannelCore, PublishOptions, Published},
    error::{Error, Result},
    runtime::{self, StorageEvent, Work},
    sql::Sql,
};
use durable_event_log::{DatabaseError, EventId, Memory};
use serde::Serialize;
use std::{cell::RefCell, rc::Rc};

/// An open transaction, the argument of the closure in [`Channel::transaction`].
pub struct Transaction<'a, E, T, S> {
    channel: &'a Channel<E, T, S>,
}

impl<E, T, S> std::fmt::Debug for Transaction<'_, E, T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction(..)")
    }
}

impl<E, T, S> Transaction<'_, E, T, S> {
    /// Returns the Durable Object's SQL database, for the application's tables.
    #[must_use]
    pub fn sql(&self) -> Sql {
        self.channel.sql()
    }
}

impl<E: Serialize, T, S> Transaction<'_, E, T, S> {
    /// Publishes an event to everyone and returns its id. It is sent after the commit.
    ///
    /// # Errors
    /// The errors of [`Channel::publish`]. If the closure does not return the error, the transaction continues without the
    /// event.
    pub fn publish(&self, event: &E) -> Result<EventId> {
        self.channel.publish(event)
    }

    /// Publishes an event with options, such as an [`Audience`](crate::Audience). It is sent after the commit. After a rollback
    /// its idempotency key is unused.
    ///
    /// # Errors
    /// The errors of [`Channel::publish_with`].
    pub fn publish_with(&self, event: &E, options: impl Into<PublishOptions>) -> Result<Published> {
        self.channel.publish_with(event, options)
    }

    /// Publishes events to everyone, in order, all or none, and returns their ids. They are sent after the commit.
    ///
    /// # Errors
    /// The errors of [`Channel::publish_batch`].
    pub fn publish_batch<'e>(&self, events: impl IntoIterator<Item = &'e E>) -> Result<Vec<EventId>>
    where
        E: 'e,
    {
        self.channel.publish_batch(events)
    }

    /// Publishes events in order, each with its own options, all or none. They are sent after the commit. After a rollback their
    /// idempotency keys are unused.
    ///
    /// # Errors
    /// The errors of [`Channel::publish_batch_with`].
    pub fn publish_batch_with<'e, O: Into<PublishOptions>>(
        &self,
        events: impl IntoIterator<Item = (&'e E, O)>,
    ) -> Result<Vec<Published>>
    where
        E: 'e,
    {
        self.channel.publish_batch_with(events)
    }
}

impl<E, T, S> Channel<E, T, S> {
    /// Runs `work` in a transaction, which commits the application's SQL and its events together, and returns its output.
    ///
    /// If `work` returns `Ok`, the transaction is committed, then the events are sent. If it returns an error, all SQL changes
    /// and events are rolled back, no event is sent, and the error is returned.
    ///
    /// ```
    /// use durable_event_iterator::{Channel, Result};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Added {
    ///     item: String,
    /// }
    ///
    /// fn add(channel: &Channel<Added>, item: String) -> Result<()> {
    ///     channel.transaction(|tx| {
    ///         tx.sql().exec("INSERT INTO items (item) VALUES (?)", vec![item.clone().into()])?;
    ///         tx.publish(&Added { item })?;
    ///         Ok(())
    ///     })
    /// }
    /// ```
    ///
    /// Transactions can be nested. `Channel::publish` belongs to the innermost open transaction, including those of
    /// `storage().transaction` and JavaScript's `ctx.storage.transactionSync`. An asynchronous transaction includes the whole
    /// Durable Object: events that other code publishes while it is open belong to it too.
    ///
    /// # Errors
    /// The error of `work`, and [`Error::is_storage_failure`] if the transaction cannot be committed.
    pub fn transaction<R>(&self, work: impl FnOnce(&Transaction<'_, E, T, S>) -> Result<R>) -> Result<R> {
        let mut work = Some(work);
        let mut result = None;
        let ended = self.core().storage.transaction(&mut || {
            result = work.take().map(|work| work(&Transaction { channel: self }));
            matches!(result, Some(Ok(_)))
        });
        if work.is_none() && result.is_none() {
            // `work` panicked, or an exception passed through it. The state of the instance is undefined: end the instance.
            std::process::abort();
        }
        match result {
            Some(Err(error)) => Err(error),
            Some(Ok(output)) => ended.map(|()| output).map_err(Error::from),
            None => Err(ended.err().unwrap_or_else(|| DatabaseError::new("no transaction")).into()),
        }
    }
}

/// Sends a message.
type Send = Box<dyn FnOnce(&ChannelCore)>;

/// A message to clients that is sent after the commit.
struct Queued {
    /// The id of the event, or `None` for a live event, which is not stored.
    id: Option<EventId>,
    send: Send,
}

/// An open transaction.
struct Level {
    number: u32,
    /// What the log knew when the transaction began.
    memory: Memory,
    queue: Vec<Queued>,
}

/// The open transactions.
#[derive(Default)]
pub(crate) struct Transactions {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// From the outermost to the innermost transaction.
    levels: Vec<Level>,
    /// The number of the transaction that began last.
    last: u32,
}

impl Transactions {
    pub(crate) fn is_open(&self) -> bool {
        self.state.try_borrow().is_ok_and(|state| !state.levels.is_empty())
    }
}

impl ChannelCore {
    /// Sends now, or after the commit if a transaction is open. `id` is the id of the event, or `None` for a live event.
    pub(crate) fn send_on_commit(
        &self,
        id: Option<EventId>,
        send: impl FnOnce(&Self) + 'static,
    ) -> Result<()> {
        if !self.transactions.is_open() {
            send(self);
            return Ok(());
        }
        let mut state = self.transactions.state.try_borrow_mut()?;
        if let Some(level) = state.levels.last_mut() {
            level.queue.push(Queued { id, send: Box::new(send) });
        }
        Ok(())
    }

    /// Handles an event of the storage. Returns the number of a transaction that has begun, otherwise 0.
    pub(crate) fn on_storage(&self, event: StorageEvent) -> Result<u32> {
        use StorageEvent::{Committed, Failed, RolledBack, Settled};
        let handled = self.handle(event);
        if matches!(event, Committed(_) | RolledBack(_) | Settled(_) | Failed(_)) {
            presence::settle(self); // presence events are not sent in a transaction
        }
        handled
    }

    fn handle(&self, event: StorageEvent) -> Result<u32> {
        match event {
            StorageEvent::Begun => {
                let memory = self.log_memory()?;
                let mut state = self.transactions.state.try_borrow_mut()?;
                let number = state.last.wrapping_add(1).max(1);
                state.last = number;
                state.levels.push(Level { number, memory, queue: Vec::new() });
                return Ok(number);
            }
            StorageEvent::Committed(number) => {
                if let Some(level) = self.end_level(number)? {
                    self.pass_on(level.queue)?;
                }
            }
            StorageEvent::RolledBack(number) => {
                if let Some(level) = self.end_level(number)? {
                    self.discard_log(level.memory)?;
                    self.pass_on(Vec::new())?;
                }
            }
            StorageEvent::TakenBack(number) => {
                let mut state = self.transactions.state.try_borrow_mut()?;
                let Some(level) = state.levels.iter_mut().find(|level| level.number == number) else {
                    return Ok(0);
                };
                level.queue.clear();
                let memory = level.memory;
                drop(state);
                self.discard_log(memory)?;
            }
            StorageEvent::Settled(number) | StorageEvent::Failed(number) => {
                if let Some(level) = self.end_level(number)? {
                    self.settle(level, matches!(event, StorageEvent::Settled(_)))?;
                }
            }
            StorageEvent::Deleting => self.with_log(|_, _| Ok::<_, Error>(()))?,
            StorageEvent::Deleted => self.storage_was_deleted()?,
        }
        Ok(0)
    }

    fn end_level(&self, number: u32) -> Result<Option<Level>> {
        let mut state = self.transactions.state.try_borrow_mut()?;
        let place = state.levels.iter().position(|level| level.number == number);
        Ok(place.map(|place| state.levels.remove(place)))
    }

    /// Handles the end of an asynchronous transaction. Other code may have published in the transaction or already after its
    /// end, so exactly the events that are stored are sent.
    fn settle(&self, level: Level, is_committed: bool) -> Result<()> {
        self.discard_log(level.memory)?;
        let mut queue = Vec::with_capacity(level.queue.len());
        for queued in level.queue {
            let is_stored = match queued.id {
                Some(id) => self.with_log(|log, sql| log.contains(sql, id))?,
                None => is_committed,
            };
            if is_stored {
                queue.push(queued);
            }
        }
        self.pass_on(queue)
    }

    /// Passes the queue of a transaction that has ended to the transaction that contains it, or sends it if there is none.
    fn pass_on(&self, mut queue: Vec<Queued>) -> Result<()> {
        let mut state = self.transactions.state.try_borrow_mut()?;
        if let Some(outer) = state.levels.last_mut() {
            outer.queue.append(&mut queue);
            return Ok(());
        }
        drop(state);
        let has_stored = queue.iter().any(|queued| queued.id.is_some());
        let _delivery = has_stored.then(|| self.hub.begin(Work::Delivery));
        presence::hold(self, || {
            for queued in queue {
                (queued.send)(self);
            }
        });
        if has_stored {
            self.after_publish();
        }
        Ok(())
    }

    /// Registers this core for the events of its storage.
    pub(crate) fn listen(self: &Rc<Self>) {
        let core = Rc::downgrade(self);
        self.storage.listen(move |event| {
            let Some(core) = core.upgrade() else { return 0 };
            core.on_storage(event).unwrap_or_else(|error| {
                runtime::log_error(&format!("handling the storage event {event:?} failed: {error}"));
                0
            })
        });
    }
}
