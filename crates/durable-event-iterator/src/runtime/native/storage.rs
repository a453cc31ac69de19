//! The storage of a Durable Object: its database and its alarm.

use super::{Context, Cursor};
use crate::runtime::{JsError, SqlRows, StorageEvent};
use durable_event_log::{Cell, Database, DatabaseError, Param};
use std::rc::Rc;
use worker::SqlStorageValue;

/// The SQLite database of a Durable Object.
pub trait ObjectDatabase: Database {
    /// Executes SQL of the application.
    ///
    /// The SQL may have several statements, of which only the last one may have placeholders, and whose rows are returned. Numbers are
    /// bound as REAL, and a number of a row is an integer if it has no fraction and is within ±(2⁵³ − 1).
    ///
    /// # Errors
    /// SQLite or the Workers runtime rejects the SQL, or its execution fails.
    fn exec(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError>;
}

/// The storage behind `ctx.storage`.
pub(crate) struct Storage(Context);

impl Storage {
    /// Creates the storage from the `ctx` of the Durable Object.
    #[expect(clippy::unnecessary_wraps, reason = "on the Workers runtime it may fail")]
    pub(crate) fn new(ctx: &Context) -> Result<Self, JsError> {
        Ok(Self(ctx.clone()))
    }

    /// Calls `listener` for each event of the storage. For [`StorageEvent::Begun`] it returns the level's number.
    pub(crate) fn listen(&self, listener: impl Fn(StorageEvent) -> u32 + 'static) {
        self.0.listen(Rc::new(listener));
    }

    /// Runs `work` in a transaction like the application's own, which is rolled back if `work` returns false.
    pub(crate) fn transaction(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        let level = self.0.tell(StorageEvent::Begun);
        let mut is_to_commit = false;
        let ended = self.atomically(&mut || {
            is_to_commit = work();
            is_to_commit
        });
        self.0.tell(match ended {
            Ok(()) if is_to_commit => StorageEvent::Committed(level),
            _ => StorageEvent::RolledBack(level),
        });
        ended
    }

    /// Deletes everything without calling the listener.
    #[expect(clippy::unused_async, reason = "on the Workers runtime it has to wait")]
    pub(crate) async fn delete_all(&self) -> Result<(), JsError> {
        delete_everything(&self.0).map_err(|error| JsError::new(error.to_string()))
    }

    /// Returns the size of the database in bytes.
    pub(crate) fn size(&self) -> Result<u64, DatabaseError> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        let rows = self.execute(sql, &[])?;
        match rows.first().map(Vec::as_slice) {
            Some([Cell::Number(bytes)]) => Ok(*bytes as u64),
            _ => Err(DatabaseError::new("the database has no size")),
        }
    }

    /// Runs a statement and returns its rows for [`super::Hub::replay`].
    pub(crate) fn open(&self, sql: &str, params: &[Param<'_>]) -> Result<Cursor, DatabaseError> {
        self.execute(sql, params)
    }

    /// Executes SQL of the application.
    #[expect(clippy::needless_pass_by_value, reason = "on the Workers runtime the values are moved")]
    pub(crate) fn exec(&self, query: &str, bindings: Vec<SqlStorageValue>) -> Result<SqlRows, DatabaseError> {
        self.0.database().exec(query, &bindings)
    }

    /// Sets the alarm unless one is set. `at_ms` is in milliseconds since 1970.
    #[expect(clippy::unused_async, reason = "on the Workers runtime it has to wait")]
    pub(crate) async fn ensure_alarm(&self, at_ms: u64) -> Result<(), JsError> {
        self.0.set_alarm_ms(self.0.alarm_ms().or(Some(at_ms)));
        Ok(())
    }
}

impl Database for Storage {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.0.database().execute(sql, params)
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.0.database().atomically(work)
    }
}

/// Deletes all tables and views, and the alarm.
pub(super) fn delete_everything(state: &Context) -> Result<(), DatabaseError> {
    const ALL: &str = "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') \
        AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY type DESC";

    state.set_alarm_ms(None);
    let execute = |sql: &str| state.database().execute(sql, &[]);
    // Otherwise a table to which another one refers cannot be dropped.
    execute("PRAGMA foreign_keys = OFF")?;
    let dropped = execute(ALL).and_then(|rows| {
        rows.iter().try_for_each(|row| match row.as_slice() {
            // The tables of a virtual table are dropped with it.
            [Cell::Text(kind), Cell::Text(name)] => {
                execute(&format!("DROP {kind} IF EXISTS \"{}\"", name.replace('"', "\"\""))).map(drop)
            }
            _ => Ok(()),
        })
    });
    execute("PRAGMA foreign_keys = ON")?;
    dropped
}
