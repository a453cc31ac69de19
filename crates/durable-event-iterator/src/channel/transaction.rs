//! Transactions: what is published inside of one is sent when it is committed, and not at all when it is rolled back.

use crate::{
    channel::{Channel, ChannelCore, PublishOptions, Published},
    error::{Error, Result},
    runtime::{self, StorageEvent},
};
use durable_event_log::{DatabaseError, EventId, Memory};
use serde::Serialize;
use std::{cell::RefCell, rc::Rc};

/// A transaction of a [`Channel`], see [`Channel::transaction`].
pub struct Transaction<'a, E, T, S> {
    channel: &'a Channel<E, T, S>,
}

impl<E, T, S> std::fmt::Debug for Transaction<'_, E, T, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transaction(..)")
    }
}

impl<E, T, S> Transaction<'_, E, T, S> {
    /// The Durable Object's SQL, for the application's own tables.
    #[must_use]
    pub fn sql(&self) -> worker::SqlStorage {
        self.channel.storage().sql()
    }
}

impl<E: Serialize, T, S> Transaction<'_, E, T, S> {
    /// Publishes an event to everyone when the transaction is committed. The id is the one that the event is stored under.
    ///
    /// # Errors
    /// As [`Channel::publish`]. If the transaction's code handles the error, the transaction goes on without the event.
    pub fn publish(&self, event: &E) -> Result<EventId> {
        self.channel.publish(event)
    }

    /// Publishes an event with options, such as an [`Audience`](crate::Audience), when the transaction is committed. An
    /// idempotency key stays unused if the transaction is rolled back.
    ///
    /// # Errors
    /// As [`Channel::publish_with`].
    pub fn publish_with(&self, event: &E, options: impl Into<PublishOptions>) -> Result<Published> {
        self.channel.publish_with(event, options)
    }
}

impl<E, T, S> Channel<E, T, S> {
    /// Runs `work` in a transaction that holds both the application's SQL and its events.
    ///
    /// If `work` returns `Ok`, everything is committed and then the events are sent. If it returns an error, nothing
    /// remains of what it wrote or published, nothing was sent, and the error is returned.
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
    /// Transactions nest. `Channel::publish` takes part in the innermost transaction that is open, in those of
    /// `storage().transaction` and JavaScript's `ctx.storage.transactionSync` too. While an asynchronous one is open,
    /// it is the whole Durable Object's: what other code publishes meanwhile belongs to it.
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
            // A panic, or an exception through WebAssembly, which must not go unnoticed: the instance is lost.
            std::process::abort();
        }
        match result {
            Some(Err(error)) => Err(error),
            Some(Ok(output)) => ended.map(|()| output).map_err(Error::from),
            None => Err(ended.err().unwrap_or_else(|| DatabaseError::new("no transaction")).into()),
        }
    }
}

/// What is to be sent.
type Send = Box<dyn FnOnce(&ChannelCore)>;

/// A message to clients that waits for a commit.
struct Queued {
    /// The event that it tells of. None: what is sent is not stored.
    id: Option<EventId>,
    send: Send,
}

/// An open transaction.
struct Level {
    number: u32,
    /// What was known of the log when it began.
    memory: Memory,
    queue: Vec<Queued>,
}

/// The transactions that are open, the innermost last.
#[derive(Default)]
pub(crate) struct Transactions {
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    levels: Vec<Level>,
    /// The number of the level that was begun last.
    last: u32,
}

impl Transactions {
    pub(crate) fn is_open(&self) -> bool {
        self.state.try_borrow().is_ok_and(|state| !state.levels.is_empty())
    }
}

impl ChannelCore {
    /// Sends now, or when the innermost transaction that is open has been committed. `id` is that of the event that is sent;
    /// what is not stored has none.
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

    /// Something has happened to the storage. Answers with the number of a level that has begun.
    pub(crate) fn on_storage(&self, event: StorageEvent) -> Result<u32> {
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
                    self.give_up_log(level.memory)?;
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
                self.give_up_log(memory)?;
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

    /// An asynchronous transaction has ended. Other code may have run since it began and until now, inside of it or
    /// already after it, so what is sent is what is stored.
    fn settle(&self, level: Level, is_committed: bool) -> Result<()> {
        self.give_up_log(level.memory)?;
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

    /// A level has ended: what it has queued waits for the one around it, or is sent if there is none.
    fn pass_on(&self, mut queue: Vec<Queued>) -> Result<()> {
        let mut state = self.transactions.state.try_borrow_mut()?;
        if let Some(outer) = state.levels.last_mut() {
            outer.queue.append(&mut queue);
            return Ok(());
        }
        drop(state);
        let has_stored = queue.iter().any(|queued| queued.id.is_some());
        for queued in queue {
            (queued.send)(self);
        }
        if has_stored {
            self.after_publish();
        }
        Ok(())
    }

    /// Lets this core know of what happens to its storage.
    pub(crate) fn listen(self: &Rc<Self>) {
        let core = Rc::downgrade(self);
        self.storage.listen(move |event| {
            let Some(core) = core.upgrade() else { return 0 };
            core.on_storage(event).unwrap_or_else(|error| {
                runtime::log_error(&format!("{event:?} was not handled: {error}"));
                0
            })
        });
    }
}
