//! SQLite in memory.

use durable_event_iterator::{
    SqlRows, SqlStorageValue,
    native::{Cell, Database, DatabaseError, ObjectDatabase, Param},
};
use rusqlite::{
    Batch, Connection, Statement,
    fallible_iterator::FallibleIterator as _,
    params_from_iter,
    types::{ToSqlOutput, Value, ValueRef},
};
use std::cell::OnceCell;

/// The largest integer that a JavaScript number represents exactly together with all smaller ones.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

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

    /// Executes each statement. The bindings are those of the only statement that has placeholders.
    fn run_all(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
        let mut last = SqlRows::default();
        let mut is_bound = bindings.is_empty();
        let mut batch = Batch::new(&self.0, query);
        while let Some(mut statement) = batch.next().map_err(failure)? {
            let bindings = match statement.parameter_count() {
                0 => &[],
                count if count == bindings.len() => {
                    is_bound = true;
                    bindings
                }
                count => return Err(wrong_bindings(count, bindings)),
            };
            last = rows_of(&mut statement, bindings).map_err(failure)?;
        }
        if is_bound { Ok(last) } else { Err(wrong_bindings(0, bindings)) }
    }
}

impl ObjectDatabase for Sqlite {
    fn exec(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
        self.run_all(query, bindings)
    }
}

fn wrong_bindings(expected: usize, bindings: &[SqlStorageValue]) -> DatabaseError {
    DatabaseError::new(format!("expected {expected} values for placeholders, got {}", bindings.len()))
}

fn rows_of(statement: &mut Statement<'_>, bindings: &[SqlStorageValue]) -> rusqlite::Result<SqlRows> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = columns.len();
    let rows = statement
        .query_map(params_from_iter(bindings.iter().map(output_of)), |row| {
            (0..width).map(|column| row.get_ref(column).map(value_of)).collect()
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(SqlRows::new(columns, rows))
}

/// Binds numbers as REAL.
fn output_of(value: &SqlStorageValue) -> ToSqlOutput<'_> {
    match value {
        SqlStorageValue::Null => ToSqlOutput::Owned(Value::Null),
        SqlStorageValue::Boolean(value) => ToSqlOutput::Owned(Value::Real(f64::from(*value))),
        SqlStorageValue::Integer(value) => ToSqlOutput::Owned(Value::Real(*value as f64)),
        SqlStorageValue::Float(value) => ToSqlOutput::Owned(Value::Real(*value)),
        SqlStorageValue::String(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
        SqlStorageValue::Blob(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
    }
}

/// Converts a value to what a number of JavaScript makes of it.
fn value_of(value: ValueRef<'_>) -> SqlStorageValue {
    match value {
        ValueRef::Null => SqlStorageValue::Null,
        ValueRef::Integer(value) => number_of(value as f64),
        ValueRef::Real(value) => number_of(value),
        ValueRef::Text(value) => SqlStorageValue::String(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => SqlStorageValue::Blob(value.to_vec()),
    }
}

fn number_of(value: f64) -> SqlStorageValue {
    if value.fract() == 0.0 && value.abs() <= MAX_SAFE_INTEGER {
        SqlStorageValue::Integer(value as i64)
    } else {
        SqlStorageValue::Float(value)
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

impl ObjectDatabase for LazySqlite {
    fn exec(&self, query: &str, bindings: &[SqlStorageValue]) -> Result<SqlRows, DatabaseError> {
        self.get()?.exec(query, bindings)
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
