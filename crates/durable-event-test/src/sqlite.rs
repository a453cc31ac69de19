//! SQLite in memory.

use durable_event_log::{Cell, Database, DatabaseError, Param};
use rusqlite::{
    Connection, params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};
use std::cell::OnceCell;

/// A SQLite database in memory. It binds parameters as the Workers runtime does: every number is REAL.
#[derive(Debug)]
pub struct Sqlite(Connection);

impl Sqlite {
    /// Opens an empty database.
    ///
    /// # Errors
    /// SQLite cannot allocate the database.
    pub fn in_memory() -> Result<Self, DatabaseError> {
        Connection::open_in_memory().map(Self).map_err(failure)
    }

    fn run(&self, sql: &str, params: &[Param<'_>]) -> rusqlite::Result<Vec<Vec<Cell>>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let values = params.iter().map(|param| match param {
            Param::Null => ToSqlOutput::Owned(Value::Null),
            Param::Number(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Param::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        });
        statement
            .query_map(params_from_iter(values), |row| {
                let cell = |column| {
                    Ok(match row.get_ref(column)? {
                        ValueRef::Integer(number) => Cell::Number(number as f64),
                        ValueRef::Real(number) => Cell::Number(number),
                        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
                        ValueRef::Null | ValueRef::Blob(_) => Cell::Null,
                    })
                };
                (0..columns).map(cell).collect()
            })?
            .collect()
    }
}

impl Database for Sqlite {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.run(sql, params).map_err(failure)
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        let batch = |sql| self.0.execute_batch(sql).map_err(failure);
        batch("SAVEPOINT work")?;
        let ended = if work() { batch("RELEASE work") } else { batch("ROLLBACK TO work; RELEASE work") };
        ended.inspect_err(|_| drop(batch("ROLLBACK TO work; RELEASE work")))
    }
}

/// A database that its first statement opens, since opening one takes longer than the rest of most tests.
#[derive(Debug, Default)]
pub(crate) struct LazySqlite(OnceCell<Sqlite>);

impl LazySqlite {
    fn get(&self) -> Result<&Sqlite, DatabaseError> {
        match self.0.get() {
            Some(database) => Ok(database),
            None => {
                let database = Sqlite::in_memory()?;
                Ok(self.0.get_or_init(|| database))
            }
        }
    }
}

impl Database for LazySqlite {
    fn execute(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Vec<Cell>>, DatabaseError> {
        self.get()?.execute(sql, params)
    }

    fn atomically(&self, work: &mut dyn FnMut() -> bool) -> Result<(), DatabaseError> {
        self.get()?.atomically(work)
    }
}

fn failure(error: rusqlite::Error) -> DatabaseError {
    DatabaseError::new(error.to_string())
}
